//! Machine configurations of Talos Linux and their patches, 1.7 to 1.14, merged as Talos merges
//! them and read as a document.

pub mod cozystack;
mod delete;
mod desired;
mod identity;
mod json_patch;
mod merge;
pub mod version;

use crate::error::Diagnostics;
use crate::source::{Data, Node};

pub use desired::layers;
pub(crate) use desired::{DIRECTORY, KUBESPAN, LINKS, SERVICE};

/// A machine configuration: its documents, patches merged.
#[derive(Debug, Default)]
pub struct Configuration {
    documents: Vec<Node>,
    manifests: Vec<Node>,
}

impl Configuration {
    /// Merges the documents of files, which are applied in their order: the first is usually a
    /// configuration and the others its patches, and patches alone will do.
    pub fn merged(documents: Vec<Node>, diagnostics: &mut Diagnostics) -> Configuration {
        let mut merged = Vec::new();
        let mut manifests = Vec::new();
        for document in documents {
            match document.data {
                Data::Map(_) if is_manifest(&document) => manifests.push(document),
                Data::List(_) => json_patch::apply(&mut merged, &document, diagnostics),
                Data::Map(_) => merge::apply(&mut merged, document, diagnostics),
                _ => drop_scalar(&document, diagnostics),
            }
        }
        Configuration {
            documents: merged,
            manifests,
        }
    }

    /// Objects of Kubernetes that stand among its files, as given.
    pub fn manifests(&self) -> &[Node] {
        &self.manifests
    }

    /// Its documents, in order.
    pub fn documents(&self) -> &[Node] {
        &self.documents
    }

    /// The document without a kind, in which everything stood at first.
    pub fn legacy(&self) -> Option<&Node> {
        self.documents.iter().find(|document| kind(document).is_empty())
    }

    /// The documents of a kind.
    pub fn of_kind<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a Node> {
        self.documents
            .iter()
            .filter(move |document| kind(document) == wanted)
    }

    /// A value in the document without a kind.
    pub fn legacy_at(&self, path: &[&str]) -> Option<&Node> {
        let mut node = self.legacy()?;
        for key in path {
            node = node.get(key)?;
        }
        Some(node)
    }
}

/// Talos's documents are all of one API version.
fn is_manifest(document: &Node) -> bool {
    let version = document
        .get("apiVersion")
        .and_then(Node::text)
        .unwrap_or_default();
    !kind(document).is_empty() && !version.is_empty() && version != "v1alpha1"
}

/// The kind of a document; empty for the one that has none.
pub fn kind(document: &Node) -> &str {
    document.get("kind").and_then(Node::text).unwrap_or_default()
}

fn drop_scalar(document: &Node, diagnostics: &mut Diagnostics) {
    diagnostics.add(
        document.span,
        "",
        format!(
            "expected a document of Talos's machine configuration, found {}",
            document.describe()
        ),
    );
}
