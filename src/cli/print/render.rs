//! `netkeel render`: the files that netkeel comes with, and documents in the words of others.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::arguments::{Documents, parse_talos_version};
use crate::load::documents::{load_configuration, load_with_configuration};
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_dialects::talos::version::{KNOWN, Version};
use netkeel_dialects::talos::write::{cozystack, machine, patches};
use netkeel_render::templates::TEMPLATES;

/// What is made of a document, each with what it is for.
const DOCUMENTS: [(&str, &str); 3] = [
    (
        TALOS,
        "Patches for machine configurations of Talos Linux, of a document",
    ),
    (
        "daemonset",
        "Kubernetes: what of a document Talos Linux cannot carry, for a DaemonSet",
    ),
    (
        COZYSTACK,
        "CozyStack: its ConfigMap with the MTU that a document wants of kube-ovn's pods",
    ),
];

pub(crate) const TALOS: &str = "talos";

pub(crate) const COZYSTACK: &str = "cozystack";

/// Prints a file that netkeel comes with: systemd units, alert rules, a dashboard; or a document
/// in the words of Talos Linux, with what those cannot say as netkeel's own.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Which one.
    #[arg(value_parser = names())]
    name: String,
    #[command(flatten)]
    documents: Documents,
    /// The version of Talos Linux that is to take the patches, as 1.12.
    #[arg(long, value_name = "VERSION", value_parser = parse_talos_version, required_if_eq("name", TALOS))]
    talos_version: Option<Version>,
    /// The interface through which kube-ovn tunnels on this machine, as an annotation of its node.
    #[arg(long, value_name = "INTERFACE")]
    tunnel_interface: Option<String>,
    /// The ConfigMap `cozystack` as it is, in a file: what stands in it stays.
    #[arg(long, value_name = "FILE", required_if_eq("name", COZYSTACK))]
    configmap: Option<PathBuf>,
    /// The image of the DaemonSet.
    #[arg(long, default_value = concat!("netkeel:", env!("CARGO_PKG_VERSION")))]
    image: String,
}

pub(crate) fn names() -> PossibleValuesParser {
    let templates = TEMPLATES.iter().map(|template| (template.name, template.place));
    let value = |(name, help): (&'static str, &'static str)| PossibleValue::new(name).help(help);
    PossibleValuesParser::new(DOCUMENTS.into_iter().chain(templates).map(value))
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let template = TEMPLATES.iter().find(|template| template.name == arguments.name);
    if let Some(template) = template {
        output::print(template.text)?;
        return Ok(exit::OK);
    }
    let netns = arguments.documents.place.netns();
    let Some((document, configuration)) = load_with_configuration(&arguments.documents, netns)? else {
        return Ok(exit::ERROR);
    };
    let version = arguments.talos_version.unwrap_or(KNOWN.1);
    let rendered = match arguments.name.as_str() {
        TALOS => {
            let machine = machine::Machine {
                configuration: configuration.as_ref(),
                tunnel_interface: arguments.tunnel_interface.as_deref(),
            };
            patches::patches(&document, version, &machine)?
        }
        COZYSTACK => {
            let file = arguments.configmap.clone();
            let Some(manifests) = load_configuration(file.as_slice())? else {
                return Ok(exit::ERROR);
            };
            cozystack::render(&document, &manifests.configuration)?
        }
        _ => patches::daemonset(&document, version, &arguments.image)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                "nothing of the document is left for a DaemonSet",
            )
            .hint("netkeel render talos")
        })?,
    };
    output::print(&rendered)?;
    Ok(exit::OK)
}
