//! The policies of a cluster on this node.

use serde::Serialize;

/// The policies of the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoliciesStatus {
    /// The name of the node.
    pub node: String,
    /// A complete list was received since the service started.
    pub listed: bool,
    /// The policies in force.
    pub in_force: Vec<PolicyStatus>,
    /// The policies whose newest document is not in force.
    pub held: Vec<HeldStatus>,
    /// The policies that no longer apply, and whose settings are not yet released or given up.
    pub leaving: Vec<String>,
    /// Why the policies cannot be followed now.
    pub trouble: Option<String>,
    /// Why the state of the node is not in the cluster, or not all of it.
    pub not_written: Option<String>,
    /// The stale pods: those that are evicted, in their order, and then the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evictions: Vec<EvictionStatus>,
    /// Why nobody is evicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evictions_trouble: Option<String>,
}

/// A pod whose MTU cannot be corrected while it runs, and what happens with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvictionStatus {
    /// The host's end of its veth.
    pub link: String,
    /// `NAMESPACE/NAME`, if it is known.
    pub pod: Option<String>,
    /// `NAMESPACE/KIND/NAME` of its controller.
    pub owner: Option<String>,
    /// The policy.
    pub policy: String,
    /// `evict`, `wait`, `only-shown` or `skip`.
    pub action: &'static str,
    /// Why it waits, is only shown, or is skipped.
    pub why: Option<String>,
}

/// A policy in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyStatus {
    /// The name.
    pub name: String,
    /// The generation.
    pub generation: i64,
    /// The hash of its document.
    pub hash: String,
    /// `observe` or `enforce`.
    pub mode: &'static str,
    /// The number of facts that differ, of a policy that only observes; `None` if that is not known.
    pub drift: Option<usize>,
    /// Why it is not known.
    pub failure: Option<String>,
}

/// A policy whose newest document is not in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldStatus {
    /// The name.
    pub name: String,
    /// One word.
    pub reason: &'static str,
    /// One line.
    pub why: String,
}
