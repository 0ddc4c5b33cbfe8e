//! Machine configurations of Talos Linux 1.7 to 1.14 and their patches, merged as in Talos.

use crate::talos::identity::is_manifest;
use crate::talos::keys::kind;
use crate::talos::{identity, json_patch, merge};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Entry, Node};

/// A machine configuration: its documents with patches merged.
#[derive(Debug, Default)]
pub struct Configuration {
    documents: Vec<Node>,
    manifests: Vec<Node>,
}

impl Configuration {
    /// Merges the documents of files in order. The first file is usually a configuration and the
    /// others its patches; patches alone are accepted too.
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

    /// Kubernetes objects among its files, as given.
    pub fn manifests(&self) -> &[Node] {
        &self.manifests
    }

    /// Its documents, in order.
    pub fn documents(&self) -> &[Node] {
        &self.documents
    }

    /// The document without a kind, the original form of the configuration.
    pub fn legacy(&self) -> Option<&Node> {
        self.documents.iter().find(|document| kind(document).is_empty())
    }

    /// The documents of a kind.
    pub fn of_kind<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a Node> {
        self.documents
            .iter()
            .filter(move |document| kind(document) == wanted)
    }

    /// Annotations of the node in both forms, the newer form last. A missing value is an empty text
    /// in Talos.
    pub(crate) fn node_annotations(&self) -> Vec<(&str, String)> {
        let legacy = self.legacy_at(&["machine", "nodeAnnotations"]);
        let documents = self
            .of_kind("KubeNodeConfig")
            .filter_map(|document| document.get("annotations"));
        let entries = legacy.into_iter().chain(documents).flat_map(Node::entries);
        let text = |entry: &Entry| entry.value.scalar().unwrap_or_default().into_owned();
        entries.map(|entry| (entry.key.as_str(), text(entry))).collect()
    }

    /// Whether KubeSpan is enabled, in either form. If nothing sets it, Talos assumes disabled; but
    /// patches alone need not set it.
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

    /// Trees with the keys that merge in special ways.
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
