//! `netkeel check`: reports in one line whether the host is in sync.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::{Documents, Format, Output, OwnershipArguments};
use crate::fail_on::FailOnArguments;
use crate::inspect::plan::live;
use crate::load::documents::{Host, Loaded, read};
use crate::load::snapshot::read_snapshot;
use crate::output::Detail;
use crate::{commands, exit, output};
use netkeel_core::error::Error;
use netkeel_diagnose::lint::plan;
use netkeel_render::plan::of::Of;
use netkeel_render::plan::summary::{codes, summary};

/// Report in one line whether the host is in sync
///
/// Writes nothing. Skipped pods (NK045) are counted but are not drift, unless the document names the veth exactly.
///
/// Exit status: 0 in sync; 2 drift; 1 error (bad input, usage, permission, or state that could not be read).
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    #[command(flatten)]
    ownership: OwnershipArguments,
    #[command(flatten)]
    fail_on: FailOnArguments,
    /// Check a saved snapshot instead of this host; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "netns")]
    snapshot: Option<PathBuf>,
    /// Output format; `json` is the plan, as `netkeel plan` prints it
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// Print nothing; only set the exit status
    #[arg(short, long, conflicts_with = "output")]
    quiet: bool,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let saved = arguments.snapshot.as_deref().map(read_snapshot).transpose()?;
    let netns = saved
        .as_ref()
        .map_or_else(|| arguments.documents.place.netns(), |saved| saved.netns.clone());
    let as_json = arguments.output == Format::Json;
    let Loaded { document, sources } = match read(&arguments.documents, netns, Host::of(&saved))? {
        Ok(loaded) => loaded,
        Err(invalid) => {
            output::invalid(&invalid.diagnostics, &invalid.sources, as_json)?;
            return Ok(exit::ERROR);
        }
    };
    let (of, planned) = match &saved {
        // A snapshot has no ledger.
        Some(host) => (Of::Snapshot, plan::plan(&document, host)),
        None => (output::here(), live(&document, &arguments.ownership)?.1),
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(diagnostics) => {
            output::invalid(&diagnostics, &sources, as_json)?;
            return Ok(exit::ERROR);
        }
    };
    match arguments.output {
        _ if arguments.quiet => {}
        Format::Text => output::print(&format!(
            "{}{}\n",
            summary(&plan, of),
            commands::here(&codes(&plan))
        ))?,
        Format::Json => output::plan(&plan, &sources, Output::Json, Detail::default(), of)?,
    }
    output::problems(&plan.problems);
    arguments.fail_on.check(&plan.findings)?;
    Ok(match (plan.problems.is_empty(), plan.in_sync()) {
        (false, _) => exit::ERROR,
        (true, true) => exit::OK,
        (true, false) => exit::CHANGES,
    })
}
