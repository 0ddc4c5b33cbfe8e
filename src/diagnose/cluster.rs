//! Findings on the objects of a Kubernetes cluster: policies that drop ICMP, a DNS server whose answers do not fit, and
//! MTUs that contradict the nodes.

mod cni;
mod dns;
mod icmp;
mod object;

use crate::cluster::object::Object;
use netkeel_core::finding::{Finding, Findings};
use netkeel_source::node::Node;

/// What the objects show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The findings, sorted.
    pub findings: Vec<Finding>,
    /// What could not be judged, and why. One line each.
    pub unknown: Vec<String>,
}

/// The MTUs that a `NetkeelNode` reports, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NodePath {
    name: String,
    pods: Option<i64>,
    underlay: Option<i64>,
}

/// Judges objects, each alone or in a list.
pub fn judge(nodes: &[Node]) -> Judged {
    let objects = object::flat(nodes);
    let paths: Vec<NodePath> = objects.iter().filter_map(path).collect();
    let (mut findings, mut unknown) = (Findings::default(), Vec::new());
    icmp::check(&objects, &mut findings);
    dns::check(&objects, &paths, &mut findings, &mut unknown);
    cni::check(&objects, &paths, &mut findings, &mut unknown);
    unknown.sort();
    unknown.dedup();
    Judged {
        findings: findings.into_sorted(),
        unknown,
    }
}

fn path(object: &Object<'_>) -> Option<NodePath> {
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
fn names(nodes: &[&NodePath]) -> String {
    let shown: Vec<&str> = nodes.iter().take(3).map(|node| node.name.as_str()).collect();
    match nodes.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
