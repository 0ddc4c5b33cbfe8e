//! `netkeel render`: prints files that ship with netkeel, and documents in other formats.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::arguments::{Documents, parse_talos_version};
use crate::load::documents::{load_configuration, load_texts, load_with_configuration};
use crate::load::file::read_file;
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_dialects::dialect::Dialect;
use netkeel_dialects::talos::version::{KNOWN, Version};
use netkeel_dialects::talos::write::{cozystack, machine, patches};
use netkeel_dialects::{go_pmtud, kubernetes};
use netkeel_render::templates::TEMPLATES;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// Outputs that are made from a document, with their help.
const DOCUMENTS: [(&str, &str); 5] = [
    (TALOS, "Talos Linux: machine config patches for a document"),
    (
        "daemonset",
        "Kubernetes: a DaemonSet for what Talos Linux cannot express",
    ),
    (
        COZYSTACK,
        "CozyStack: its Package or ConfigMap with the pod MTU of the document",
    ),
    (
        KUBERNETES,
        "Kubernetes: an agent on each node, with the documents as they are",
    ),
    (
        CHART_VALUES,
        "Kubernetes: values of netkeel's Helm chart, from go-pmtud's",
    ),
];

pub(crate) const TALOS: &str = "talos";

pub(crate) const COZYSTACK: &str = "cozystack";

const CHART_VALUES: &str = "chart-values";

const KUBERNETES: &str = "kubernetes";

/// Print a file that ships with netkeel, or Talos patches
///
/// The files are systemd units, alert rules and a dashboard. `talos` prints a document as Talos
/// patches; whatever Talos cannot express goes into a netkeel document.
///
/// Exit status: 0 success; 1 error.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// File or output to print
    #[arg(value_parser = names())]
    name: String,
    #[command(flatten)]
    documents: Documents,
    /// Talos Linux version of the patches, e.g. 1.12
    #[arg(long, value_name = "VERSION", value_parser = parse_talos_version, required_if_eq("name", TALOS))]
    talos_version: Option<Version>,
    /// Interface of kube-ovn's tunnels, for the node annotation
    #[arg(long, value_name = "INTERFACE")]
    tunnel_interface: Option<String>,
    /// File with CozyStack's Package or ConfigMap and kube-ovn's Subnets
    ///
    /// Other values are kept.
    #[arg(long, value_name = "FILE", required_if_eq("name", COZYSTACK))]
    manifests: Option<PathBuf>,
    /// File with the values of go-pmtud's chart, for chart-values
    #[arg(long, value_name = "FILE", required_if_eq("name", CHART_VALUES))]
    go_pmtud: Option<PathBuf>,
    /// Container image of the DaemonSet, for daemonset and kubernetes
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
    if let (CHART_VALUES, Some(file)) = (arguments.name.as_str(), &arguments.go_pmtud) {
        return chart_values(file);
    }
    if arguments.name == KUBERNETES {
        return agents(arguments);
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
            let file = arguments.manifests.clone();
            let Some(manifests) = load_configuration(file.as_slice())? else {
                return Ok(exit::ERROR);
            };
            cozystack::render(&document, &manifests.configuration)?
        }
        _ => patches::daemonset(&document, version, &arguments.image)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                "Talos Linux can express the whole document; no DaemonSet is needed",
            )
            .hint("run `netkeel render talos`")
        })?,
    };
    output::print(&rendered)?;
    Ok(exit::OK)
}

/// The agents on each node, with the texts of native documents as they are.
fn agents(arguments: &Arguments) -> Result<u8, Error> {
    let documents = &arguments.documents;
    if documents.origin.dialect() != Dialect::Native {
        return Err(Error::new(
            ErrorKind::Input,
            "the agents read netkeel documents, which the output has as they are",
        )
        .hint("leave out --from"));
    }
    let Some(texts) = load_texts(&documents.files, documents.place.netns())? else {
        return Ok(exit::ERROR);
    };
    output::print(&kubernetes::manifests(&texts, &arguments.image)?)?;
    Ok(exit::OK)
}

/// The values of netkeel's chart, from those of go-pmtud's.
fn chart_values(file: &Path) -> Result<u8, Error> {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let name = file.display().to_string();
    // The values of a chart may hold secrets of other programs.
    let reads = |path: &[&str]| {
        path.first()
            .is_some_and(|first| go_pmtud::SECTIONS.contains(first))
    };
    let nodes = sources.load_foreign(&name, read_file(file)?, false, &reads, &mut diagnostics);
    let converted = nodes
        .first()
        .map(|node| go_pmtud::chart_values(node, &mut diagnostics))
        .transpose()?;
    match converted.filter(|_| diagnostics.is_empty()) {
        Some(values) => {
            output::print(&values)?;
            Ok(exit::OK)
        }
        None => {
            output::diagnostics(&diagnostics, &sources);
            Ok(exit::ERROR)
        }
    }
}
