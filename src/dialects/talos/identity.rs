//! What makes two documents of a machine configuration the same one: API version, kind and name.

use crate::talos::keys::kind;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};

/// Talos's documents are all of one API version.
pub(crate) fn is_manifest(document: &Node) -> bool {
    let version = document
        .get("apiVersion")
        .and_then(Node::text)
        .unwrap_or_default();
    !kind(document).is_empty() && !version.is_empty() && version != "v1alpha1"
}

/// Keys that tell the one document without a kind.
const LEGACY: [&str; 4] = ["machine", "cluster", "debug", "persist"];

/// The identity of a document; that of the one without a kind is all empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub version: String,
    pub kind: String,
    pub name: String,
}

impl Identity {
    /// The identity of a document, or what it lacks for one.
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

    /// Whether a document of a configuration is this one.
    pub fn is(&self, document: &Node) -> bool {
        let found = Identity::read(document);
        if found.kind.is_empty() {
            self.kind.is_empty()
        } else {
            found == *self
        }
    }

    /// As it stands there.
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

/// Talos takes each document of a configuration once; of a patch it merges them all. The first file
/// is a configuration, unless something in it can stand in a patch only.
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
    for (at, document) in ours.iter().enumerate() {
        let identity = Identity::read(document);
        let mut before = ours.iter().take(at);
        if let Some(before) = before.find(|before| identity.is(before)) {
            let what = match (identity.kind.as_str(), identity.name.as_str()) {
                ("", _) => "the document without a kind".to_owned(),
                (kind, "") => kind.to_owned(),
                (kind, name) => format!("{kind} {name}"),
            };
            let message = format!("Talos refuses a configuration that has {what} twice");
            let diagnostic = diagnostics.add(document.span, "", message);
            diagnostic
                .other(before.span, "this is there already")
                .hint("make one of them; or give this one in a file of its own, as a patch");
        }
    }
}

/// Whether it has what only a patch can have.
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
