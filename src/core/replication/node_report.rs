//! The report of a node's service to the sender of a probe.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::finding::Code;
use crate::replication::probe::ProbeRecord;
use crate::replication::refusal::Refusal;
use crate::replication::settings::Mode;
use crate::replication::statistics::PeerState;
use crate::replication::worker::WorkerHealth;

/// The version of the format of [`NodeReport`].
pub const FORMAT: u32 = 1;

/// The maximum number of peers in one question to a node.
pub const MOST_PEERS: usize = 64;

/// A finding about replication on a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeFinding {
    /// Its code.
    pub code: Code,
    /// Its subject.
    pub subject: String,
}

/// The answer of a node's service to the sender of a probe. Of addresses it has only those in the question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The version of the format, [`FORMAT`].
    pub format: u32,
    /// Whether a first full scan has ended.
    pub ready: bool,
    /// The state of replication.
    pub health: WorkerHealth,
    /// The way of copies; `None` without a worker.
    pub mode: Option<Mode>,
    /// The packets of the probe. The service knows it up to a second later.
    pub record: Option<ProbeRecord>,
    /// Whether the worker has no room for the records of further probes.
    pub full: bool,
    /// Packets that the worker did not copy since its start, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Facts of `nflog` that differ from the document: the rules are not all in place.
    pub missing_rules: usize,
    /// Findings by which packets or copies are lost.
    pub findings: BTreeSet<NodeFinding>,
    /// The state of each peer in the question that the worker has.
    pub peers: BTreeMap<IpAddr, PeerState>,
}
