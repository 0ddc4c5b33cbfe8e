//! `netkeel apply`: plan, execute, look again; all or nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::arguments::{Documents, LockOptions, Output, OwnershipArguments, parse_duration};
use crate::change::recover;
use crate::change::watcher::Watcher;
use crate::load::documents::{Loaded, load, load_saved};
use crate::{exit, output};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::recorder::Recorder;
use netkeel_apply::engine::session::Session;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_diagnose::lint::plan;
use netkeel_document::document::Document;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::reach::Target;
use netkeel_plan::goal::saved::{Exactly, SavedPlan};
use netkeel_plan::goal::{Declared, Goal};
use netkeel_plan::outcome::{AGAIN, Applied, Failure, Rollback};
use netkeel_plan::plan::Plan;
use netkeel_render::wording::{applied_line, count};
use netkeel_render::{json, markdown};
use netkeel_source::sources::Sources;

/// How many of the writes that were undone are told one by one.
const SHOWN: usize = 10;

/// Makes the host as the document says, or leaves it as it was.
///
/// An op that fails stops it, and what was done is undone in reverse. After writing it looks
/// again, and fails when a fact is not as it was written.
///
/// Exit status: 0; with --detailed-exitcode 2 when something was changed; 1 when nothing could be
/// done; 3 when it failed and all was undone; 4 when it failed and undoing failed too.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    #[command(flatten)]
    lock: LockOptions,
    /// Allow what cannot be undone exactly: IPv6 addresses lost below 1280, a device made again.
    #[arg(long)]
    allow_lossy: bool,
    #[command(flatten)]
    ownership: OwnershipArguments,
    /// Do exactly what a saved plan says (`netkeel plan --save`), or nothing when anything that it
    /// rests on has changed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "netns"])]
    plan: Option<PathBuf>,
    /// Undo everything unless `netkeel confirm` comes within this time, as 60s. It holds also when
    /// the session or netkeel itself dies.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    confirm_within: Option<Duration>,
    /// Undo everything when this target answered before and does not after: by TCP with a port,
    /// else by ping. May be given several times.
    #[arg(long, value_name = "HOST[:PORT]")]
    verify_reach: Vec<String>,
    /// Apply a document that was rolled back before for want of confirmation or reach.
    #[arg(long)]
    again: bool,
    /// Change the interface that carries the default route or this ssh session, be it by its name or
    /// by what it feels of a write to `all`, to `default` or to the device it stands on.
    #[arg(long)]
    allow_management: bool,
    /// How to show what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Exit with 2 when something was changed.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let tell = |outcome: &serde_json::Value| {
        if arguments.output == Output::Json {
            result(&output::pretty(outcome));
        }
    };
    match whole(arguments) {
        Ok(Some((Ok(applied), sources))) => Ok(report(&applied, &sources, arguments)),
        Ok(Some((Err(failure), sources))) => {
            tell(&match &failure {
                Failure::Failed(rollback) => json::rolled_back(rollback),
                other => json::refused(&reasons(other)),
            });
            Ok(failed(failure, &sources))
        }
        Ok(None) => {
            let message = "the documents are wrong, as standard error says";
            tell(&json::refused(&[Error::new(ErrorKind::Input, message)]));
            Ok(exit::ERROR)
        }
        Err(error) => {
            tell(&json::refused(std::slice::from_ref(&error)));
            Err(error)
        }
    }
}

/// How an apply ended, with the texts that its document came from.
type Ended = (Result<Applied, Failure>, Sources);

/// Does all of it, and prints nothing but what is wrong in the documents; none when something is.
fn whole(arguments: &Arguments) -> Result<Option<Ended>, Error> {
    let saved = arguments.plan.as_deref().map(read_plan).transpose()?;
    let loaded = match &saved {
        Some((name, saved)) => load_saved(saved, name),
        None => load(&arguments.documents, arguments.documents.place.netns())?,
    };
    let Some(Loaded { document, sources }) = loaded else {
        return Ok(None);
    };
    let targets = arguments
        .verify_reach
        .iter()
        .map(|text| Target::resolve(text))
        .collect::<Result<Vec<_>, _>>()?;
    let store = Store::open(&document.netns)?;
    if let Some((name, saved)) = &saved
        && saved.boot != store.boot
    {
        let message = format!("{name}: the plan was saved before the host was booted");
        return Err(Error::new(ErrorKind::Refused, message).hint("plan again"));
    }
    let actor = actor();
    let lock = store.lock(&actor, arguments.lock.timeout)?;
    recover::settle(&store, &document.netns)?;
    refuse_rejected(&store, &document, arguments.again)?;
    let ledger = store.ledger()?;
    let declared = Declared {
        document: &document,
        holdings: arguments.ownership.holdings(&ledger),
    };
    let exactly = saved.as_ref().map(|(_, saved)| Exactly::new(declared, saved));
    let goal: &dyn Goal = exactly.as_ref().map_or(&declared, |exactly| exactly);
    let mut log = Recorder::new(
        store.clone(),
        document.netns.clone(),
        &document.owner,
        &document.hash,
        &actor,
    );
    log.confirm_within = arguments.confirm_within;
    log.compacts = ledger.wants_compacting();
    let mut watch = Watcher::new()?;
    watch.management = arguments.allow_management || arguments.confirm_within.is_some() || !store.is_host();
    watch.budget = store.writes_left(document.limits.changes_per_minute)?;
    let lossy = arguments.allow_lossy;
    let outcome = Live::with(&document.netns, |kernel| {
        watch.must_reach(targets);
        apply(
            goal,
            Session {
                kernel,
                log: &mut log,
                lossy,
                watch: &mut watch,
            },
        )
        .outcome
    })?;
    let outcome = outcome.map(|mut applied| {
        plan::add(Some(&document), &mut applied.planned, &applied.before);
        applied
    });
    let noted = match &outcome {
        Ok(_) if arguments.confirm_within.is_none() => store.accept(&document.hash),
        Err(_) if watch.cut_off => store.reject(&document.hash, "it cut a target off"),
        _ => Ok(()),
    };
    // What was done or undone stays what it is: that it could not be noted is only said.
    if let Err(error) = noted {
        output::error(&error);
    }
    // Before anything is printed: where the connection is dead printing may never end, and the
    // watchdog waits for the lock.
    drop(lock);
    watch.clear();
    Ok(Some((outcome, sources)))
}

fn read_plan(path: &Path) -> Result<(String, SavedPlan), Error> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::new(ErrorKind::Input, format!("{name}: {error}")))?;
    let saved = SavedPlan::read(&text).map_err(|error| error.context(&name))?;
    Ok((name, saved))
}

/// What was rolled back because it cut something off is not done again by the next run of a
/// configuration manager.
fn refuse_rejected(store: &Store, document: &Document, again: bool) -> Result<(), Error> {
    match store.rejection(Some(&document.hash))? {
        Some(rejection) if !again => {
            let message = format!("this document was rolled back before: {}", rejection.reason);
            Err(Error::new(ErrorKind::Refused, message)
                .hint("change the document, or apply it --again")
                .hint("netkeel history shows when"))
        }
        _ => Ok(()),
    }
}

/// Prints what was done. That it could not be printed does not change what was done.
fn result(text: &str) {
    if let Err(error) = output::print(text) {
        output::say(&format!("warning: {error}\n"));
    }
}

fn report(applied: &Applied, sources: &Sources, arguments: &Arguments) -> u8 {
    let Applied {
        planned,
        done,
        vanished,
        ..
    } = applied;
    let plan = &planned.plan;
    let of = output::here();
    match arguments.output {
        Output::Json => result(&output::pretty(&json::applied(applied, sources))),
        Output::Markdown => result(&markdown::applied(plan, *done, sources, of)),
        Output::Text | Output::Diff => {
            result(&output::shown(plan, sources, arguments.output, false, of));
        }
    }
    if let (Some(within), true) = (arguments.confirm_within, *done > 0) {
        output::say(&format!(
            "`netkeel confirm` keeps it; else it is undone {within:?} after it began\n"
        ));
    }
    if arguments.output == Output::Text && *done > 0 {
        result(&format!("{}\n", applied_line(*done)));
    }
    for name in vanished {
        output::say(&format!("{name} went away meanwhile\n"));
    }
    if arguments.detailed_exitcode && *done > 0 {
        exit::CHANGES
    } else {
        exit::OK
    }
}

/// Why nothing was done.
fn reasons(failure: &Failure) -> Vec<Error> {
    match failure {
        Failure::Invalid(diagnostics) => {
            let told = diagnostics.list.iter().map(|diagnostic| Error {
                kind: ErrorKind::Input,
                message: format!("{}: {}", diagnostic.path, diagnostic.message),
                hints: diagnostic.hints.clone(),
            });
            told.collect()
        }
        Failure::Unread(problems) => {
            let told = problems.iter().map(ToString::to_string);
            told.map(|message| Error::new(ErrorKind::Unreadable, message))
                .collect()
        }
        Failure::NotBegun(error) => vec![error.clone()],
        Failure::Lossy(plan) => vec![loses(plan)],
        Failure::Failed(rollback) => vec![rollback.cause.clone()],
    }
}

fn loses(plan: &Plan) -> Error {
    let error = Error::new(
        ErrorKind::Refused,
        "the plan loses what an undo cannot bring back, so nothing was written",
    );
    let lossy = plan.lossy().fold(error, |error, step| {
        let loses: Vec<String> = step.undo.loses.iter().map(ToString::to_string).collect();
        error.hint(format!("`{}` loses {}", step.op, loses.join("; ")))
    });
    lossy.hint("--allow-lossy permits it")
}

pub(crate) fn failed(failure: Failure, sources: &Sources) -> u8 {
    match failure {
        Failure::Invalid(diagnostics) => output::diagnostics(&diagnostics, sources),
        Failure::Unread(problems) => output::problems(&problems),
        Failure::NotBegun(error) => output::error(&error),
        Failure::Lossy(plan) => output::error(&loses(&plan)),
        Failure::Failed(rollback) => return rolled_back(&rollback),
    }
    exit::ERROR
}

fn rolled_back(rollback: &Rollback) -> u8 {
    let Rollback {
        cause,
        undone,
        remaining,
        lost,
        blamed: _,
    } = rollback;
    output::error(cause);
    let writes = count(undone.len(), "write");
    output::say(&match remaining.len() {
        0 if undone.is_empty() => "nothing had been written: the host is as it was\n".to_owned(),
        0 => format!("rolled back: {writes} undone, the host is as it was\n"),
        left => format!(
            "NOT rolled back: {writes} undone, {} left\n",
            count(left, "write")
        ),
    });
    if !undone.is_empty() {
        output::say("These commands undid it:\n");
    }
    for op in undone.iter().take(SHOWN) {
        output::say(&format!("  {op}\n"));
    }
    if let more @ 1.. = undone.len().saturating_sub(SHOWN) {
        output::say(&format!("  and {more} more\n"));
    }
    if !remaining.is_empty() {
        output::say("These commands remain:\n");
    }
    for (op, error) in remaining {
        let failed = if error.message == AGAIN { "" } else { "failed: " };
        output::say(&format!("  {}    # {failed}{error}\n", op.command()));
    }
    for lost in lost {
        output::say(&format!("  not brought back: {lost}\n"));
    }
    if remaining.is_empty() {
        exit::ROLLED_BACK
    } else {
        exit::NOT_ROLLED_BACK
    }
}
