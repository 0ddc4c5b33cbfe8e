//! Requests that need a snapshot to become wants: the MTU of a pod end.

use std::sync::Arc;

use crate::want::{Origin, Want};

/// What a document says of the other end of a veth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodMtu {
    /// As this end: what one end sends, a smaller one drops without an ICMP.
    Same,
    /// It stays as it is.
    Leave,
    /// Bytes.
    Bytes(i64),
}

/// What is wanted of a veth into a pod that somebody else keeps, and does not go with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedPod {
    /// MTU that the pod's end should have, bytes.
    pub pod_mtu: i64,
    /// What is wanted of this end and not done, since what the other end sends would be dropped; none
    /// where the document speaks of both ends.
    pub withheld: Option<Want>,
}

/// The wish for one veth.
#[derive(Clone, Debug)]
pub struct PodMtuRequest {
    /// What is wished.
    pub mtu: PodMtu,
    /// What says so.
    pub origin: Arc<Origin>,
}

impl PodMtu {
    /// The word for what is not touched.
    pub(crate) const LEAVE: &str = "leave";

    /// Reads one of `same`, `leave` and bytes.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "same" => Some(PodMtu::Same),
            PodMtu::LEAVE => Some(PodMtu::Leave),
            bytes => bytes.parse().ok().map(PodMtu::Bytes),
        }
    }
}
