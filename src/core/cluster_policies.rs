//! The policies of a Kubernetes cluster, as the API server gives them to a node.

pub mod evictions;

use std::collections::BTreeMap;

/// News of the policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyNews {
    /// The complete list.
    Policies {
        /// Each object as JSON.
        objects: Vec<String>,
        /// The Node on which the agent runs.
        node: ClusterNode,
    },
    /// They cannot be followed now. One line.
    Trouble(String),
}

/// A Node object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNode {
    /// The UID.
    pub uid: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}
