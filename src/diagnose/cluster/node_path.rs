//! The MTUs that the nodes of a cluster report.

use crate::cluster::object::Object;
use netkeel_source::node::Node;

/// The MTUs that a `NetkeelNode` reports, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodePath {
    pub(super) name: String,
    pub(super) pods: Option<i64>,
    pub(super) underlay: Option<i64>,
}

/// The MTUs in a `NetkeelNode`; `None` for another object.
pub(super) fn path(object: &Object<'_>) -> Option<NodePath> {
    if !object.is("netkeel.io", "NetkeelNode") {
        return None;
    }
    let of = |key: &str| object.at(&["status", "path", key]).and_then(Node::integer);
    Some(NodePath {
        name: object.name.clone(),
        pods: of("podMTU"),
        underlay: of("underlayMTU"),
    })
}

/// The names of nodes, at most three of them.
pub(super) fn names(nodes: &[&NodePath]) -> String {
    let shown: Vec<&str> = nodes.iter().take(3).map(|node| node.name.as_str()).collect();
    match nodes.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
