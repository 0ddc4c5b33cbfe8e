//! The identity of a document in a machine configuration: API version, kind and name.

use std::collections::BTreeMap;

use crate::talos::keys::kind;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};
use netkeel_source::span::Span;

/// Whether it is a Kubernetes object: all Talos documents have the same API version.
pub(crate) fn is_manifest(document: &Node) -> bool {
    let version = document
        .get("apiVersion")
        .and_then(Node::text)
        .unwrap_or_default();
    !kind(document).is_empty() && !version.is_empty() && version != "v1alpha1"
}

/// Keys that identify the document without a kind.
const LEGACY: [&str; 4] = ["machine", "cluster", "debug", "persist"];

/// The identity of a document; all empty for the one without a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub version: String,
    pub kind: String,
    pub name: String,
}

impl Identity {
    /// The keys that it consists of.
    pub const KEYS: [&str; 3] = ["apiVersion", "kind", "name"];

    /// The identity of a document; reports a missing part.
    pub fn of(document: &Node, diagnostics: &mut Diagnostics) -> Option<Identity> {
        let identity = Identity::read(document);
        let missing = match (identity.version.is_empty(), identity.kind.is_empty()) {
            (false, false) => return Some(identity),
            (_, true) if LEGACY.iter().any(|key| has(document, key)) => {
                return Some(Identity::default());
            }
            (true, false) => "apiVersion",
            (_, true) => "kind",
        };
        diagnostics
            .add(
                document.span,
                "",
                format!("a document of Talos's machine configuration without `{missing}`"),
            )
            .hint("the one document without both has `machine` or `cluster`");
        None
    }

    /// The identity by which a document is found: there is one document without a kind.
    pub fn normal(self) -> Identity {
        match self.kind.is_empty() {
            true => Identity::default(),
            false => self,
        }
    }

    /// The identity as it is written.
    pub fn read(document: &Node) -> Identity {
        let text = |key: &str| {
            let scalar = document.get(key).and_then(Node::scalar);
            scalar.map(|text| text.into_owned()).unwrap_or_default()
        };
        let kind = text("kind");
        Identity {
            version: text("apiVersion"),
            name: if kind.is_empty() {
                String::new()
            } else {
                text("name")
            },
            kind,
        }
    }
}

/// Reports duplicate documents: Talos accepts each document once in a configuration, but merges
/// those of a patch. The first file is a configuration, unless it contains patch-only parts.
pub(crate) fn unique(documents: &[Node], diagnostics: &mut Diagnostics) {
    let ours = || documents.iter().filter(|document| !is_manifest(document));
    let Some(first) = ours().next().map(|document| document.span.file) else {
        return;
    };
    let ours: Vec<&Node> = ours().filter(|document| document.span.file == first).collect();
    let patch = |document: &&Node| !matches!(document.data, Data::Map(_)) || is_patch(document);
    if ours.iter().any(patch) {
        return;
    }
    let mut known: BTreeMap<Identity, Span> = BTreeMap::new();
    for document in ours {
        let identity = Identity::read(document).normal();
        if let Some(before) = known.get(&identity) {
            let what = match (identity.kind.as_str(), identity.name.as_str()) {
                ("", _) => "the document without a kind".to_owned(),
                (kind, "") => kind.to_owned(),
                (kind, name) => format!("{kind} {name}"),
            };
            let message = format!("Talos refuses a configuration that has {what} twice");
            let diagnostic = diagnostics.add(document.span, "", message);
            diagnostic
                .other(*before, "this is there already")
                .hint("make one of them; or give this one in a file of its own, as a patch");
        } else {
            known.insert(identity, document.span);
        }
    }
}

/// Whether it contains parts that only a patch may have.
fn is_patch(node: &Node) -> bool {
    match &node.data {
        Data::List(items) => items.iter().any(is_patch),
        Data::Map(entries) => entries
            .iter()
            .any(|entry| entry.key == "$patch" || is_patch(&entry.value)),
        _ => false,
    }
}

fn has(document: &Node, key: &str) -> bool {
    document.entries().iter().any(|entry| entry.key == key)
}
