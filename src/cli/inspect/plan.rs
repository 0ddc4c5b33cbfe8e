//! `netkeel plan`: shows the plan for this host or for a snapshot.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Args, ValueEnum};

use crate::arguments::{Documents, FullOption, Output, OwnershipArguments};
use crate::fail_on::FailOnArguments;
use crate::load::documents::{Host, Loaded, read};
use crate::load::snapshot::read_snapshot;
use crate::output::Detail;
use crate::{commands, exit, output, taken};
use netkeel_apply::recover::refuse_pending;
use netkeel_apply::store::Store;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::maybe_secret::reveal;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::lint::plan;
use netkeel_diagnose::path;
use netkeel_diagnose::path::select;
use netkeel_diagnose::path::select::Start;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::goal::saved::SavedPlan;
use netkeel_plan::goal::{Declared, Goal};
use netkeel_plan::plan::Plan;
use netkeel_render::path::compared::Compared;
use netkeel_render::plan::html;
use netkeel_render::plan::of::Of;
use netkeel_service::client;
use netkeel_source::diagnostic::Diagnostics;

/// Show what would change
///
/// Writes nothing.
///
/// Exit status: 0 success; 1 error (bad input, usage, permission, or state that could not be read);
/// with --detailed-exitcode 2 when something differs.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    #[command(flatten)]
    ownership: OwnershipArguments,
    #[command(flatten)]
    fail_on: FailOnArguments,
    /// Plan for a saved snapshot instead of this host; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "netns")]
    snapshot: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: PlanOutput,
    /// Also show equivalent commands, with --output text
    #[arg(long)]
    commands: bool,
    #[command(flatten)]
    full: FullOption,
    /// Save the plan to a file for `netkeel apply --plan`
    #[arg(long, value_name = "FILE", conflicts_with = "snapshot")]
    save: Option<PathBuf>,
    /// Exit with status 2 when something differs
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Output formats of a plan that is not applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanOutput {
    /// For people
    #[default]
    Text,
    /// Unified diff
    Diff,
    /// For programs; `netkeel schema` prints the schemas
    Json,
    /// For a review comment
    Markdown,
    /// One page for a browser, with the paths of packets before and after
    Html,
}

impl From<Output> for PlanOutput {
    fn from(output: Output) -> Self {
        match output {
            Output::Text => PlanOutput::Text,
            Output::Diff => PlanOutput::Diff,
            Output::Json => PlanOutput::Json,
            Output::Markdown => PlanOutput::Markdown,
        }
    }
}

impl Arguments {
    /// The arguments of `netkeel apply --dry-run`.
    pub(crate) fn of_apply(
        documents: Documents,
        ownership: OwnershipArguments,
        fail_on: FailOnArguments,
        output: Output,
        full: FullOption,
        detailed_exitcode: bool,
    ) -> Self {
        Arguments {
            documents,
            ownership,
            fail_on,
            snapshot: None,
            output: output.into(),
            commands: false,
            save: None,
            full,
            detailed_exitcode,
        }
    }
}

/// A plan, or the diagnostics that prevent one.
pub(crate) type Planned = Result<Plan, Box<Diagnostics>>;

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let saved = arguments
        .snapshot
        .as_ref()
        .map(|path| read_snapshot(path))
        .transpose()?;
    let netns = saved
        .as_ref()
        .map_or_else(|| arguments.documents.place.netns(), |saved| saved.netns.clone());
    commands::name_of(&netns);
    let as_json = arguments.output == PlanOutput::Json;
    let Loaded { document, sources } = match read(&arguments.documents, netns, Host::of(&saved))? {
        Ok(loaded) => loaded,
        Err(invalid) => {
            output::invalid(&invalid.diagnostics, &invalid.sources, as_json)?;
            return Ok(exit::ERROR);
        }
    };
    let of = match saved {
        Some(_) => Of::Snapshot,
        None => output::here(),
    };
    let is_page = arguments.output == PlanOutput::Html;
    let mut paths = Compared::default();
    let planned = match saved {
        // A snapshot has no ledger.
        Some(host) => plan::planned(&document, &host).map(|planned| {
            if is_page {
                paths = compared(&host, planned.after.as_ref());
            }
            planned.plan
        }),
        None => {
            let (host, planned) = live(&document, &arguments.ownership)?;
            if let (Some(path), Ok(plan)) = (&arguments.save, &planned) {
                save(path, &document, &host, plan)?;
                let place = match document.netns.name() {
                    Some(name) => format!(" (netns {})", printable(name)),
                    None => String::new(),
                };
                output::say(&format!(
                    "Saved {}{place}\n",
                    printable(&path.display().to_string())
                ));
            }
            if is_page {
                paths = live_paths(&document)?;
            }
            planned
        }
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(diagnostics) => {
            output::invalid(&diagnostics, &sources, as_json)?;
            return Ok(exit::ERROR);
        }
    };
    let detail = Detail {
        commands: arguments.commands,
        full: arguments.full,
    };
    let shown = |output| output::shown(&plan, &sources, output, detail, of);
    output::print(&match arguments.output {
        PlanOutput::Text => shown(Output::Text),
        PlanOutput::Diff => shown(Output::Diff),
        PlanOutput::Json => shown(Output::Json),
        PlanOutput::Markdown => shown(Output::Markdown),
        PlanOutput::Html => html::plan(&plan, &sources, of, &paths),
    })?;
    output::problems(&plan.problems);
    arguments.fail_on.check(&plan.findings)?;
    Ok(match (plan.problems.is_empty(), plan.in_sync()) {
        (false, _) => exit::ERROR,
        (true, false) if arguments.detailed_exitcode => exit::CHANGES,
        (true, _) => exit::OK,
    })
}

/// The paths of packets on a host before and after a plan.
fn compared(host: &Snapshot, after: Option<&Snapshot>) -> Compared {
    let all = |host: &Snapshot| select::paths(host, &Start::Everywhere, None, &|_| None);
    Compared {
        before: all(host),
        after: all(after.unwrap_or(host)),
    }
}

/// As [`compared`], for the live state of the document's namespace. The paths need more of it than a plan.
fn live_paths(document: &Document) -> Result<Compared, Error> {
    let mut scope = path::scope::scope();
    scope.extend(document.scope());
    let host = Live::with(&document.netns, |kernel| kernel.snapshot(&scope))??;
    let planned = plan::planned(document, &host);
    Ok(match planned {
        Ok(planned) => compared(&host, planned.after.as_ref()),
        Err(_) => Compared::default(),
    })
}

/// Plans for the live state of the document's namespace.
///
/// # Errors
/// When an interrupted apply is pending: the current state is then not one to plan for.
pub(crate) fn live(
    document: &Document,
    ownership: &OwnershipArguments,
) -> Result<(Snapshot, Planned), Error> {
    let store = Store::open_to_read(&document.netns)?;
    refuse_pending(&store)?;
    let ledger = store.readable_ledger()?;
    let goal = Declared {
        document,
        holdings: ownership.holdings(&ledger),
    };
    let mut host = Live::with(&document.netns, |kernel| kernel.snapshot(&goal.scope()))??;
    if document.replicate.is_some() {
        host.replication = client::replicating(&store);
    }
    let planned = goal.plan(&host).map(|mut planned| {
        plan::add(Some(document), &mut planned, &host);
        planned.plan
    });
    if let Ok(plan) = &planned {
        output::say(&taken::note(plan, &ledger));
    }
    Ok((host, planned))
}

pub(crate) fn save(path: &Path, document: &Document, host: &Snapshot, plan: &Plan) -> Result<(), Error> {
    let store = Store::open_to_read(&document.netns)?;
    let saved = SavedPlan::new(document, host, plan, &store.boot)?;
    // The file is for its user alone, who has the document too.
    let json = reveal(|| serde_json::to_value(&saved))
        .map_err(|error| Error::new(ErrorKind::Unreadable, format!("cannot save the plan: {error}")))?;
    replace(path, &output::pretty(&json))
        .map_err(|error| Error::new(ErrorKind::Refused, format!("{}: {error}", path.display())))
}

/// Puts a file in place whole: a temporary file in the same directory, synced and renamed. A link in its
/// place is not followed: where others can write the directory, it may lead anywhere.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(io::Error::other(
                "it is not a regular file, and netkeel follows no link",
            ));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_plan_is_saved_whole_or_not_and_by_no_link() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        replace(&at("plan"), "one").unwrap();
        replace(&at("plan"), "two").unwrap();
        assert_eq!(fs::read_to_string(at("plan")).unwrap(), "two");
        fs::write(at("target"), "somebody's").unwrap();
        symlink("target", at("link")).unwrap();
        assert!(replace(&at("link"), "three").is_err());
        assert!(replace(scratch.path(), "three").is_err());
        assert_eq!(fs::read_to_string(at("target")).unwrap(), "somebody's");
        assert_eq!(
            fs::read_dir(scratch.path()).unwrap().count(),
            3,
            "something was left"
        );
    }
}
