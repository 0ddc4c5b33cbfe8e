//! Peers that the objects of a Kubernetes cluster name: `peers: { endpoints: ... }` or `peers: { nodes: ... }`.

use std::collections::BTreeSet;

use crate::policy::label::{is_name, label_key, label_value};
use crate::shape::{Field, Shape, field, wrong};
use netkeel_core::error::Error;
use netkeel_core::replication::cluster_peers::{ClusterPeers, NotReady, PeerFamily, PeerObjects};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;

pub(super) const FIELDS: &[Field] = &[
    field(
        "endpoints",
        Shape::Map(&[
            Field {
                name: "service",
                shape: Shape::Text {
                    check: service,
                    what: "NAMESPACE/NAME",
                },
                required: true,
                doc: "The Service whose EndpointSlices name the peers, as `netkeel/netkeel`: the agents' own headless one, whose addresses are those of the nodes.",
            },
            FAMILIES,
        ]),
        "The addresses of a Service's endpoints. They change only when agents come and go.",
    ),
    field(
        "nodes",
        Shape::Map(&[
            field(
                "selector",
                Shape::Table {
                    key: label_key,
                    key_doc: "The key of a label.",
                    value: &Shape::Text {
                        check: label_value,
                        what: "the value of a label",
                    },
                },
                "The labels that a Node has. Default: any Node.",
            ),
            FAMILIES,
            field(
                "not_ready",
                Shape::Word(NotReady::WORDS),
                "`keep` (the default): a Node that is not ready stays a peer. `drop`: it leaves the list.",
            ),
        ]),
        "The internal addresses of Nodes, also of those without an agent. Each heartbeat of a Node goes to each watcher: use `endpoints` above 200 nodes.",
    ),
];

const FAMILIES: Field = field(
    "families",
    Shape::List(&Shape::Word(PeerFamily::WORDS)),
    "The families of the addresses: `ipv4`, `ipv6`. Default: both.",
);

fn service(text: &str) -> Result<(), Error> {
    match text.split_once('/') {
        Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(()),
        _ => Err(wrong(text, "a namespace and a name").hint("as netkeel/netkeel")),
    }
}

/// Reads the map of `peers`. The check of the shape has reported invalid values.
pub(super) fn read(peers: &Node, diagnostics: &mut Diagnostics) -> Option<ClusterPeers> {
    let (objects, of) = match (peers.get("endpoints"), peers.get("nodes")) {
        (Some(endpoints), None) => {
            let (namespace, service) = endpoints.get("service")?.text()?.split_once('/')?;
            let objects = PeerObjects::Endpoints {
                namespace: namespace.to_owned(),
                service: service.to_owned(),
            };
            (objects, endpoints)
        }
        (None, Some(nodes)) => {
            let labels = nodes.get("selector").map(Node::entries).unwrap_or_default();
            let labels = labels
                .iter()
                .filter_map(|label| Some((label.key.clone(), label.value.text()?.to_owned())));
            let not_ready = nodes
                .get("not_ready")
                .and_then(Node::text)
                .and_then(NotReady::from_word);
            let objects = PeerObjects::Nodes {
                selector: labels.collect(),
                not_ready: not_ready.unwrap_or_default(),
            };
            (objects, nodes)
        }
        (both, _) => {
            let message = match both {
                Some(_) => "`endpoints` and `nodes` are two sources of the same peers",
                None => "no object of the cluster names the peers",
            };
            diagnostics
                .add(peers.span, KeyPath::of(&["replicate", "peers"]), message)
                .hint("name one of them: endpoints: { service: netkeel/netkeel }");
            return None;
        }
    };
    let words = of.get("families").map(Node::items).unwrap_or_default().iter();
    let families: BTreeSet<PeerFamily> = words
        .filter_map(|word| PeerFamily::from_word(word.text()?))
        .collect();
    let families = match families.is_empty() {
        true => PeerFamily::all(),
        false => families,
    };
    Some(ClusterPeers { objects, families })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        for good in ["netkeel/netkeel", "kube-system/a.b-1"] {
            assert!(service(good).is_ok(), "{good}");
        }
        for bad in ["netkeel", "a/b/c", "/b", "a/", "A/b", "a/-b", "a/b\n"] {
            assert!(service(bad).is_err(), "{bad}");
        }
        for good in ["role", "kubernetes.io/os", "example.com/A_b.c"] {
            assert!(label_key(good).is_ok(), "{good}");
        }
        for bad in ["", "a/", "/a", "a b", "-a", "kubernetes.io/os/x"] {
            assert!(label_key(bad).is_err(), "{bad}");
        }
        assert!(label_value("").is_ok() && label_value("linux").is_ok());
        assert!(label_value("a,b=c").is_err() && label_value(&"x".repeat(64)).is_err());
    }
}
