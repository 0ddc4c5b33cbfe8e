//! Network configurations of other programs as a new netkeel document: the parts that netkeel manages, and a note for
//! every other part.

mod ifupdown;
mod importer;
mod netplan;
mod networkd;
mod nmstate;
mod wikimedia;

use crate::import::importer::{Importer, Text, lines};
use netkeel_document::draft::Draft;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// A configuration that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The state that `nmstatectl` shows and applies.
    Nmstate,
    /// Netplan's YAML (netplan(5)).
    Netplan,
    /// The stanzas of /etc/network/interfaces (interfaces(5)).
    Ifupdown,
    /// Files of systemd.network(5), systemd.netdev(5) and systemd.link(5).
    Networkd,
    /// Hiera data of Wikimedia's Puppet tree.
    WikimediaHiera,
}

/// The document from files in their order: later ones override earlier ones. The files of networkd are read in its own
/// order, and the first one that matches an interface wins.
///
/// Broken files are errors in `diagnostics`, with their places.
pub fn import(
    format: Format,
    files: Vec<(String, Vec<u8>)>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Draft {
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let heading = format!("Imported from {} by `netkeel import`.", names.join(", "));
    let mut draft = Draft::new(&[&heading]);
    match format {
        Format::Nmstate | Format::Netplan | Format::WikimediaHiera => {
            let mut nodes = Vec::new();
            for (name, bytes) in files {
                nodes.extend(sources.load_with(&name, bytes, None, format == Format::Nmstate, diagnostics));
            }
            let mut into = Importer {
                sources,
                draft: &mut draft,
            };
            match format {
                Format::Netplan => netplan::read(&nodes, &mut into, diagnostics),
                Format::WikimediaHiera => wikimedia::read(&nodes, &mut into, diagnostics),
                Format::Nmstate | Format::Ifupdown | Format::Networkd => {
                    nmstate::read(&nodes, &mut into, diagnostics);
                }
            }
        }
        Format::Ifupdown | Format::Networkd => {
            let mut texts = Vec::new();
            for (name, bytes) in files {
                let file = sources.add_bytes(&name, bytes, diagnostics);
                texts.extend(file.map(|file| (file, name)));
            }
            let texts: Vec<Text> = texts
                .into_iter()
                .map(|(file, name)| Text {
                    lines: lines(file, sources.text(file)),
                    name,
                })
                .collect();
            let mut into = Importer {
                sources,
                draft: &mut draft,
            };
            match format {
                Format::Ifupdown => ifupdown::read(&texts, &mut into, diagnostics),
                _ => networkd::read(&texts, &mut into, diagnostics),
            }
        }
    }
    draft
}

#[cfg(test)]
mod tests;
