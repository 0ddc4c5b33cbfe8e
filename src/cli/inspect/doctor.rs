//! `netkeel doctor`: names the most likely cause of lost packets.

use clap::Args;

use crate::arguments::Place;
use crate::inspect::bundle;
use crate::inspect::bundle::{BundleArguments, Shape};
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_diagnose::diagnosis::diagnose;
use netkeel_diagnose::lint::host;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_render::diagnosis::text;
use netkeel_render::paint::Paint;

/// Name the most likely cause of lost packets
///
/// The cause comes first, with its evidence, a test that would refute it, and the remedy. A host on which
/// nothing is found may lose packets all the same.
///
/// Exit status: 0 success; 1 error.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    bundles: BundleArguments,
    #[command(flatten)]
    place: Place,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Shape,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if let Some(code) = bundle::run(&arguments.bundles, arguments.output)? {
        return Ok(code);
    }
    let scope = Scope {
        forwarding: true,
        peer_routes: true,
        ..Scope::wide()
    };
    let found = Live::with(&arguments.place.netns(), |kernel| kernel.snapshot(&scope))??;
    let diagnosis = diagnose(&found, &host::host(&found), None);
    output::print(&match arguments.output {
        Shape::Json => output::json(&diagnosis)?,
        Shape::Text | Shape::Html => text::diagnosis(&diagnosis, Paint(output::stdout_colour())),
    })?;
    output::problems(&found.problems);
    Ok(if found.problems.is_empty() {
        exit::OK
    } else {
        exit::ERROR
    })
}
