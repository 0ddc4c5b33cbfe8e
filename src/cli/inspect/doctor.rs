//! `netkeel doctor`: names the most likely cause of lost packets.

use std::time::Duration;

use clap::Args;

use crate::arguments::{Place, parse_duration};
use crate::inspect::bundle;
use crate::inspect::bundle::{BundleArguments, Shape};
use crate::output;
use netkeel_core::error::Error;
use netkeel_render::diagnosis::{html, text};
use netkeel_render::paint::Paint;

/// Name the most likely cause of lost packets
///
/// netkeel reads the counters of the kernel at the beginning and at the end of a window, and compares their
/// growth with the configuration and the paths. The cause comes first, with its evidence, a test that would
/// refute it, and the remedy. Other counters that grew follow, each with what it means and what it does not
/// mean. A host on which nothing is found may lose packets all the same: some faults move no counter.
///
/// Exit status: 0 success; 1 error, or state that could not be read; with --fail-on 2 when a cause or a sign
/// has at least that severity.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  netkeel doctor --window 30s\n  netkeel doctor --record 5m --out node-1.json"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    bundles: BundleArguments,
    #[command(flatten)]
    place: Place,
    /// Time over which the growth of the counters is read
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10s")]
    window: Duration,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Shape,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if let Some(code) = bundle::run(&arguments.bundles, &arguments.place.netns(), arguments.output)? {
        return Ok(code);
    }
    let (bundle, problems) = bundle::record(
        &arguments.place.netns(),
        arguments.window,
        arguments.bundles.drop_reasons,
    )?;
    let diagnosis = bundle.diagnosis();
    output::print(&match arguments.output {
        Shape::Json => output::json(&diagnosis)?,
        Shape::Html => html::bundle(&bundle),
        Shape::Text => text::diagnosis(&diagnosis, Paint(output::stdout_colour())),
    })?;
    output::problems(&problems);
    Ok(arguments.bundles.status(&diagnosis, &problems))
}
