//! Whose words the files speak: documents of netkeel's own, or data that others keep, from which a
//! document is made with every place kept.

use std::collections::BTreeMap;

use super::{Data, Entry, Node, Sources, Span, ansible, hiera, talos};
use crate::error::Diagnostics;

/// Whose words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// A document as `docs/reference/document.md` has it.
    #[default]
    Native,
    /// Data of Hiera for the class `netkeel`.
    Hiera,
    /// Variables of an Ansible inventory for the role of netkeel.
    Ansible,
    /// A machine configuration of Talos Linux and its patches.
    Talos,
}

/// What the files are read with.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Whose words they speak.
    pub dialect: Dialect,
    /// The keys that a document may have, but for `version`.
    pub keys: &'a [&'a str],
    /// Facts of the host, by their dotted names, as interpolation asks for them.
    pub facts: &'a BTreeMap<String, String>,
}

impl Reading<'_> {
    /// The layers of a document, of the files in the order in which they are layered: a later one
    /// wins. What is wrong goes to `diagnostics`.
    pub fn layers(
        &self,
        files: Vec<Node>,
        sources: &mut Sources,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Node> {
        match self.dialect {
            Dialect::Native => files,
            Dialect::Hiera => hiera::layers(files, self, diagnostics),
            Dialect::Ansible => ansible::layers(files, self, diagnostics),
            Dialect::Talos => {
                let configuration = talos::Configuration::merged(files, diagnostics);
                talos::layers(&configuration, sources, diagnostics)
            }
        }
    }

    /// Whether an entry of a file's top level is netkeel's.
    pub fn concerns(&self, key: &str) -> bool {
        match self.dialect {
            Dialect::Native | Dialect::Talos => true,
            Dialect::Hiera => hiera::concerns(key),
            Dialect::Ansible => ansible::concerns(key),
        }
    }
}

/// A document of these entries, with the version of the format that they are of.
pub(super) fn document(mut entries: Vec<Entry>, span: Span) -> Node {
    let start = Span {
        end: span.start,
        ..span
    };
    let version = Entry {
        key: "version".to_owned(),
        key_span: start,
        value: Node {
            span: start,
            data: Data::Integer(crate::document::VERSION),
        },
    };
    entries.insert(0, version);
    Node {
        span,
        data: Data::Map(entries),
    }
}
