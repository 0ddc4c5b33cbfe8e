//! What a node asks the API server for its evictions, and the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::policy::eviction::PodSeen;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvictionRequest {
    /// List the pods of the node.
    Look,
    /// Evict a pod.
    Evict(Eviction),
}

/// A pod to evict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eviction {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: another pod of that name is not evicted.
    pub uid: String,
    /// The UID of its controller.
    pub owner: String,
    /// The name of the policy.
    pub policy: String,
    /// Its UID.
    pub policy_uid: String,
    /// Its generation.
    pub generation: i64,
    /// The UID of the Node.
    pub node_uid: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvictionNews {
    /// All pods of the node, by UID.
    Pods(BTreeMap<String, PodSeen>),
    /// The end of an eviction.
    Ended {
        /// The UID of the pod.
        uid: String,
        /// The end.
        end: EvictionEnd,
    },
    /// The pods cannot be listed. One line.
    Trouble(String),
    /// After an eviction the controller did not come back to as many pods: no node evicts one of its pods until it does.
    NotWhole {
        /// The UID of the controller.
        owner: String,
        /// One line.
        why: String,
    },
}

/// The end of an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvictionEnd {
    /// The server evicts the pod.
    Evicted,
    /// The pod is gone, or another one has its name.
    Gone,
    /// The server refuses it for now (429), and says after how long to try again, or does not.
    Refused {
        /// Not earlier than this.
        after: Option<Duration>,
        /// One line.
        why: String,
    },
    /// Nothing was asked: another node evicts a pod of the same owner, or not all pods of the owner are ready.
    Busy(String),
    /// The server refuses it for good, or it was not asked. One line.
    Failed(String),
    /// The answer was lost, or is an error of the server: nobody knows whether the pod is evicted. One line.
    Unknown(String),
}
