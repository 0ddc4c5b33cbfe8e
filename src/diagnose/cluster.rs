//! Findings on the objects of a Kubernetes cluster: policies that drop ICMP, a DNS server whose answers do not fit, MTUs that
//! contradict the nodes, and agents that do not run.

mod admits;
mod agents;
mod cni;
mod corefile;
mod dns;
mod icmp;
mod node_path;
mod object;
mod selector;

use crate::cluster::node_path::{NodePath, path};
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

/// Judges objects, each alone or in a list.
pub fn judge(nodes: &[Node]) -> Judged {
    let objects = object::flat(nodes);
    let paths: Vec<NodePath> = objects.iter().filter_map(path).collect();
    let (mut findings, mut unknown) = (Findings::default(), Vec::new());
    icmp::check(&objects, &mut findings);
    dns::check(&objects, &paths, &mut findings, &mut unknown);
    cni::check(&objects, &paths, &mut findings, &mut unknown);
    agents::check(&objects, &mut findings, &mut unknown);
    unknown.sort();
    unknown.dedup();
    Judged {
        findings: findings.into_sorted(),
        unknown,
    }
}
