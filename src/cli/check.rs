//! `netkeel check`: the plan in a line, for `unless`.

use clap::Args;

use super::arguments::{Documents, Ownership};
use super::load::{Loaded, load};
use super::plan::live;
use super::{exit, output};
use crate::error::Error;
use crate::render::text;

/// Says in a line whether the host is as the document says. Writes nothing. Pods that are not as
/// declared and that netkeel leaves alone (NK045) are counted in the line and are no drift.
///
/// Exit status: 0 in sync; 2 drift; 1 when it could not be told.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    documents: Documents,
    #[command(flatten)]
    ownership: Ownership,
    /// Print nothing; the exit status tells.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.documents.place.netns();
    let Some(Loaded { document, sources }) = load(&arguments.documents, netns)? else {
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
        output::print(&format!("{}\n", text::summary(&plan, output::here())))?;
    }
    output::problems(&plan.problems);
    Ok(match (plan.problems.is_empty(), plan.in_sync()) {
        (false, _) => exit::ERROR,
        (true, true) => exit::OK,
        (true, false) => exit::CHANGES,
    })
}
