//! Machine configurations of Talos Linux and their patches, 1.7 to 1.14, merged as Talos merges
//! them and read as a document.

use crate::talos::identity::is_manifest;
use crate::talos::keys::kind;
use crate::talos::{identity, json_patch, merge};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Entry, Node};

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
        identity::unique(&documents, diagnostics);
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

    /// Annotations of the node, in both forms; the newer one's last. Without a value it is an empty
    /// text to Talos.
    pub(crate) fn node_annotations(&self) -> Vec<(&str, String)> {
        let legacy = self.legacy_at(&["machine", "nodeAnnotations"]);
        let documents = self
            .of_kind("KubeNodeConfig")
            .filter_map(|document| document.get("annotations"));
        let entries = legacy.into_iter().chain(documents).flat_map(Node::entries);
        let text = |entry: &Entry| entry.value.scalar().unwrap_or_default().into_owned();
        entries.map(|entry| (entry.key.as_str(), text(entry))).collect()
    }

    /// Whether KubeSpan is on by its configuration, in either form. Nobody says: Talos takes it for
    /// off; but patches alone need not say.
    pub(crate) fn kubespan_on(&self, kubespan: &Node) -> bool {
        let said = kubespan.get("enabled").and_then(Node::switch);
        said.unwrap_or_else(|| self.legacy_at(&["machine", "type"]).is_none())
    }

    /// A value in the document without a kind.
    pub(crate) fn legacy_at(&self, path: &[&str]) -> Option<&Node> {
        let mut node = self.legacy()?;
        for key in path {
            node = node.get(key)?;
        }
        Some(node)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos::desired::layers;
    use netkeel_source::sources::Sources;
    use netkeel_source::testing::{expected, json_map};
    use proptest::prelude::*;

    /// Trees with the keys that the merge treats in ways of its own.
    fn documents() -> impl Strategy<Value = Vec<Node>> {
        let wrapped = (json_map(), 0..6_u8).prop_map(|(value, how)| match how {
            0 => serde_json::json!({ "machine": value }),
            1 => serde_json::json!({ "machine": {
                "network": { "interfaces": [value] },
                "sysctls": { "a": { "$patch": "delete" } },
            } }),
            2 => serde_json::json!({
                "apiVersion": "v1alpha1", "kind": "LinkConfig", "name": "a", "x": value, "mtu": 1,
            }),
            3 => serde_json::json!({
                "apiVersion": "v1alpha1", "kind": "LinkConfig", "name": "a", "x": { "$patch": "delete" },
            }),
            4 => serde_json::json!([
                { "op": "copy", "from": "/machine", "path": "/machine/a" },
                { "op": "add", "path": "/machine/b", "value": value },
            ]),
            _ => value,
        });
        prop::collection::vec(wrapped.prop_map(|value| expected(&value)), 0..6)
    }

    proptest! {
        #[test]
        fn any_documents_merge_or_are_refused(documents in documents()) {
            let (mut first, mut second) = (Diagnostics::default(), Diagnostics::default());
            let merged = Configuration::merged(documents.clone(), &mut first);
            let again = Configuration::merged(documents, &mut second);
            prop_assert_eq!(merged.documents(), again.documents());
            prop_assert_eq!(first.count(), second.count());
            layers(&merged, &mut Sources::default(), &mut first);
        }
    }
}
