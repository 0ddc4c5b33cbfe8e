//! `netkeel check`: reports in one line whether the host is in sync.

use clap::Args;

use crate::arguments::{Documents, OwnershipArguments};
use crate::fail_on::FailOnArguments;
use crate::inspect::plan::live;
use crate::load::documents::{Host, Loaded, load};
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_render::plan::summary::summary;

/// Report in one line whether the host is in sync
///
/// Writes nothing. Skipped pods (NK045) are counted but are not drift.
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
    /// Print nothing; only set the exit status
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.documents.place.netns();
    let Some(Loaded { document, sources }) = load(&arguments.documents, netns, Host::Live)? else {
        return Ok(exit::ERROR);
    };
    let plan = match live(&document, &arguments.ownership)?.1 {
        Ok(plan) => plan,
        Err(diagnostics) => {
            output::diagnostics(&diagnostics, &sources);
            return Ok(exit::ERROR);
        }
    };
    if !arguments.quiet {
        output::print(&format!("{}\n", summary(&plan, output::here())))?;
    }
    output::problems(&plan.problems);
    arguments.fail_on.check(&plan.findings)?;
    Ok(match (plan.problems.is_empty(), plan.in_sync()) {
        (false, _) => exit::ERROR,
        (true, true) => exit::OK,
        (true, false) => exit::CHANGES,
    })
}
