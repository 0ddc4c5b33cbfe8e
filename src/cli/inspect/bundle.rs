//! The bundles of `netkeel doctor`: opens one, and compares two.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::load::file::read_printed;
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_diagnose::bundle::Bundle;
use netkeel_diagnose::diagnosis::compare::compare;
use netkeel_render::diagnosis::{compare as compared, html, text};
use netkeel_render::paint::Paint;

/// The options for bundles.
#[derive(Debug, Args)]
pub(crate) struct BundleArguments {
    /// Open a bundle instead of reading this host
    #[arg(long, value_name = "FILE", conflicts_with = "compare")]
    bundle: Option<PathBuf>,
    /// Compare two bundles: of two hosts, or of two moments
    #[arg(long, num_args = 2, value_names = ["FILE", "FILE"])]
    compare: Vec<PathBuf>,
}

/// Output formats of a diagnosis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// A page for a browser; with --bundle only
    Html,
}

/// Opens or compares bundles, if the options ask for that.
pub(crate) fn run(arguments: &BundleArguments, shape: Shape) -> Result<Option<u8>, Error> {
    if let Some(file) = &arguments.bundle {
        let bundle = read(file)?;
        output::print(&match shape {
            Shape::Text => text::bundle(&bundle, Paint(output::stdout_colour())),
            Shape::Json => output::json(&bundle.diagnosis())?,
            Shape::Html => html::bundle(&bundle),
        })?;
        return Ok(Some(exit::OK));
    }
    let [one, other] = arguments.compare.as_slice() else {
        return Ok(None);
    };
    let bundles = [read(one)?, read(other)?];
    let found = compare([&bundles[0], &bundles[1]]);
    let names = match bundles[0].host == bundles[1].host {
        true => [one, other].map(|path| path.display().to_string()),
        false => [bundles[0].host.clone(), bundles[1].host.clone()],
    };
    output::print(&match shape {
        Shape::Json => output::json(&found)?,
        Shape::Text | Shape::Html => compared::comparison(&found, [&names[0], &names[1]]),
    })?;
    Ok(Some(exit::OK))
}

fn read(path: &PathBuf) -> Result<Bundle, Error> {
    let text = read_printed(path)?;
    Bundle::from_json(&text).map_err(|error| error.context(path.display()))
}
