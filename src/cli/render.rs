//! `netkeel render`: the files that netkeel comes with, and documents in the words of others.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::arguments::{Documents, parse_talos_version};
use super::load::{Loaded, load};
use super::{exit, output};
use crate::error::{Error, ErrorKind};
use crate::render::talos;
use crate::source::talos::version::{KNOWN, Version};
use crate::templates::TEMPLATES;

/// What is made of a document, each with what it is for.
const DOCUMENTS: [(&str, &str); 2] = [
    (
        TALOS,
        "Patches for machine configurations of Talos Linux, of a document",
    ),
    (
        "daemonset",
        "Kubernetes: what of a document Talos Linux cannot carry, for a DaemonSet",
    ),
];
const TALOS: &str = "talos";

/// Prints a file that netkeel comes with: systemd units, alert rules, a dashboard; or a document
/// in the words of Talos Linux, with what those cannot say as netkeel's own.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Which one.
    #[arg(value_parser = names())]
    name: String,
    #[command(flatten)]
    documents: Documents,
    /// The version of Talos Linux that is to take the patches, as 1.12.
    #[arg(long, value_name = "VERSION", value_parser = parse_talos_version, required_if_eq("name", TALOS))]
    talos_version: Option<Version>,
    /// The image of the DaemonSet.
    #[arg(long, default_value = concat!("netkeel:", env!("CARGO_PKG_VERSION")))]
    image: String,
}

fn names() -> PossibleValuesParser {
    let templates = TEMPLATES.iter().map(|template| (template.name, template.place));
    let value = |(name, help): (&'static str, &'static str)| PossibleValue::new(name).help(help);
    PossibleValuesParser::new(DOCUMENTS.into_iter().chain(templates).map(value))
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    let template = TEMPLATES.iter().find(|template| template.name == arguments.name);
    if let Some(template) = template {
        output::print(template.text)?;
        return Ok(exit::OK);
    }
    let netns = arguments.documents.place.netns();
    let Some(Loaded { document, .. }) = load(&arguments.documents, netns)? else {
        return Ok(exit::ERROR);
    };
    let version = arguments.talos_version.unwrap_or(KNOWN.1);
    if arguments.name == TALOS {
        output::print(&talos::patches(&document, version))?;
        return Ok(exit::OK);
    }
    let Some(manifests) = talos::daemonset(&document, version, &arguments.image) else {
        return Err(Error::new(
            ErrorKind::Input,
            "Talos Linux can carry all of the document: nothing is left for a DaemonSet",
        )
        .hint("netkeel render talos"));
    };
    output::print(&manifests)?;
    Ok(exit::OK)
}
