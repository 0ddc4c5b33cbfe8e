//! Requests that become wants once a snapshot is known: the MTU of a pod's end.

use std::sync::Arc;

use crate::want::{Origin, Want};

/// The wanted MTU of the other end of a veth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodMtu {
    /// The same as this end, since the smaller end drops larger packets without an ICMP.
    Same,
    /// Unchanged.
    Leave,
    /// Bytes.
    Bytes(i64),
}

/// A veth into a pod that another program manages, and whose MTU does not fit the wanted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedPod {
    /// Wanted MTU of the pod's end, bytes.
    pub pod_mtu: i64,
    /// The want for this end, which is not applied, since the pod's larger packets would be
    /// dropped. None when the document sets both ends.
    pub withheld: Option<Want>,
}

/// The request for one veth.
#[derive(Clone, Debug)]
pub struct PodMtuRequest {
    /// The wanted MTU.
    pub mtu: PodMtu,
    /// The part of the document that wants it.
    pub origin: Arc<Origin>,
}

impl PodMtu {
    /// The word for "unchanged".
    pub(crate) const LEAVE: &str = "leave";

    /// Parses `same`, `leave` or bytes.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "same" => Some(PodMtu::Same),
            PodMtu::LEAVE => Some(PodMtu::Leave),
            bytes => bytes.parse().ok().map(PodMtu::Bytes),
        }
    }
}
