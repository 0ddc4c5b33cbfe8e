//! What makes two documents of a machine configuration the same one: API version, kind and name.

use crate::error::Diagnostics;
use crate::source::Node;

/// Keys that tell the one document without a kind.
const LEGACY: [&str; 4] = ["machine", "cluster", "debug", "persist"];

/// The identity of a document; that of the one without a kind is all empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub version: String,
    pub kind: String,
    pub name: String,
}

impl Identity {
    /// The identity of a document, or what it lacks for one.
    pub(super) fn of(document: &Node, diagnostics: &mut Diagnostics) -> Option<Identity> {
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
    pub(super) fn is(&self, document: &Node) -> bool {
        let found = Identity::read(document);
        if found.kind.is_empty() {
            self.kind.is_empty()
        } else {
            found == *self
        }
    }

    /// As it stands there.
    pub(super) fn read(document: &Node) -> Identity {
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

fn has(document: &Node, key: &str) -> bool {
    document.entries().iter().any(|entry| entry.key == key)
}
