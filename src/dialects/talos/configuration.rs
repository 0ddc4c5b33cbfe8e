//! Machine configurations of Talos Linux 1.7 to 1.14 and their patches, merged as in Talos.

use crate::talos::documents::Documents;
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
        let mut merged = Documents::default();
        let mut manifests = Vec::new();
        identity::unique(&documents, diagnostics);
        for document in documents {
            match document.data {
                Data::Map(_) if is_manifest(&document) => manifests.push(document),
                Data::List(_) => {
                    merged.patch(|documents| json_patch::apply(documents, &document, diagnostics));
                }
                Data::Map(_) => merge::apply(&mut merged, document, diagnostics),
                _ => drop_scalar(&document, diagnostics),
            }
        }
        Configuration {
            documents: merged.into_list(),
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
            document.kind()
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
    use std::time::{Duration, Instant};

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

    /// The time to read so many documents, a patch of each, a deletion of each, aliases and interfaces: the
    /// shortest of three runs.
    #[expect(clippy::disallowed_methods, reason = "the test compares times")]
    fn time(number: usize) -> Duration {
        let text = |document: &dyn Fn(usize) -> String| {
            (0..number)
                .map(document)
                .collect::<Vec<_>>()
                .join("---\n")
                .into_bytes()
        };
        let of = |kind: &str, name: usize, rest: &str| {
            format!("apiVersion: v1alpha1\nkind: {kind}\nname: eth{name}\n{rest}\n")
        };
        let interfaces = |mtu: usize| {
            let items = (0..number).map(|at| format!("{{interface: old{at}, mtu: {mtu}}}"));
            let items = items.collect::<Vec<_>>().join(", ");
            format!("machine: {{network: {{interfaces: [{items}]}}}}\n").into_bytes()
        };
        let files = [
            text(&|at| of("LinkConfig", at, "mtu: 1400")),
            text(&|at| of("LinkConfig", at, "mtu: 1450")),
            text(&|at| of("LinkAliasConfig", number + at, "selector: {match: x}")),
            text(&|at| of("DummyLinkConfig", 2 * number + at, "mtu: 1400")),
            text(&|at| of("DummyLinkConfig", 2 * number + at, "$patch: delete")),
            interfaces(1400),
            interfaces(1450),
        ];
        let run = || {
            let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
            let begin = Instant::now();
            let mut documents = Vec::new();
            for (at, file) in files.iter().enumerate() {
                let name = format!("{at}.yaml");
                documents.extend(sources.load_with(&name, file.clone(), None, true, &mut diagnostics));
            }
            let configuration = Configuration::merged(documents, &mut diagnostics);
            let layers = layers(&configuration, &mut sources, &mut diagnostics);
            let spent = begin.elapsed();
            assert!(diagnostics.is_empty(), "{:?}", diagnostics.list.first());
            let links = layers.first().and_then(|layer| layer.get("link")).unwrap();
            assert_eq!(links.entries().len(), 2 * number);
            let mtu = |entry: &Entry| entry.value.get("mtu").and_then(Node::integer);
            assert!(links.entries().iter().all(|entry| mtu(entry) == Some(1450)));
            spent
        };
        (0..3).map(|_| run()).min().unwrap()
    }

    #[test]
    fn the_time_grows_with_the_number_of_documents_and_not_with_its_square() {
        let (few, many) = (time(500), time(4_000));
        // Eight times as many documents: linear time is eight times as long, quadratic 64 times.
        assert!(many < few * 30, "{few:?} for 500, {many:?} for 4,000");
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
