//! The result of planning: the plan, the wants, the host afterwards, and the observation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::plan::{Drift, Plan};
use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::Problem;

/// The result of planning.
#[derive(Debug)]
pub struct Planned {
    /// The drift and the steps.
    pub plan: Plan,
    /// The wants that the plan was made from.
    pub wants: Wants,
    /// The model of the host after the last step; `None` for a plan without steps.
    pub after: Option<Snapshot>,
    /// The observation of the scan; `None` unless a service made the plan.
    pub observation: Option<Observation>,
}

/// A wanted MTU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedMtu {
    /// Bytes.
    pub bytes: i64,
    /// The entry of the document: `link.pods`.
    pub rule: Arc<str>,
    /// The entry names the interface. Others that a match finds come and go.
    pub named: bool,
}

/// Facts about the host that the service needs in addition to the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// The index of each interface.
    pub links: BTreeMap<LinkName, u32>,
    /// The wanted MTUs.
    pub mtus: BTreeMap<LinkName, WantedMtu>,
    /// The interface with the smallest MTU among the default routes, and that MTU in bytes. `None` without
    /// a budget over the default routes.
    pub underlay: Option<(LinkName, i64)>,
    /// All drift, including suspended facts.
    pub drift: Vec<Drift>,
    /// The number of wanted facts.
    pub wanted: usize,
    /// Skipped pods whose MTU differs from the wanted one, by the host's end of the veth. The value says
    /// whether the plan withholds the host's end too. Empty for a part.
    pub stale: BTreeMap<LinkName, bool>,
    /// Veths into pods whose pod's end is wanted and cannot be reached. Neither end is written.
    pub unreachable: BTreeSet<LinkName>,
    /// The declared facts that could not be read. Ends of `unreachable` pods are not repeated here.
    pub unread: BTreeSet<Fact>,
    /// The parts of the host that could not be read. The plan covers all facts that were read.
    pub problems: Vec<Problem>,
}
