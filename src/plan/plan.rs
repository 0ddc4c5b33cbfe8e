//! A plan: drift, and the steps that remove it.

pub mod cause;
pub mod count;
pub mod groups;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ledger::OwnershipRecord;
use crate::loss::Loss;
use crate::plan::cause::Cause;
use netkeel_core::fact::{Fact, Value};
use netkeel_core::finding::Finding;
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::op::{Op, Phase};
use netkeel_document::want::Origin;
use netkeel_host::model::Change;
use netkeel_host::snapshot::problem::Problem;

/// The changes to make, and the observations of the scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The owner of the document.
    pub owner: String,
    /// The namespace of the host.
    pub netns: Netns,
    /// The number of facts that the document wants, without those of interfaces that do not exist.
    pub wanted: usize,
    /// The facts that differ, in order.
    pub drift: Vec<Drift>,
    /// The ops, in the order of execution.
    pub steps: Vec<Step>,
    /// Side effects: facts that the kernel changes together with a written one. They are released with it.
    pub beside: Vec<OwnershipRecord>,
    /// The records of interfaces that got another name since, by that name.
    pub renamed: Vec<OwnershipRecord>,
    /// The interfaces of the drift, by name. Those that the plan makes are not there yet.
    pub devices: BTreeMap<LinkName, DeviceId>,
    /// Facts that should be restored and cannot be. The owner keeps them; a finding says why.
    pub unrestored: Vec<Fact>,
    /// Facts that the owner no longer owns after this plan.
    pub released: Vec<Fact>,
    /// The findings on the document, the host and the plan.
    pub findings: Vec<Finding>,
    /// Matches of the document that find no interface, each by its path.
    pub unmatched: Vec<Arc<str>>,
    /// Interfaces whose MTU the document sets by their exact name, and that are skipped since another program manages the
    /// other end.
    pub skipped: BTreeSet<LinkName>,
    /// Facts that could not be read.
    pub problems: Vec<Problem>,
}

impl Plan {
    /// A plan without anything to do.
    pub fn empty(owner: &str, netns: Netns) -> Self {
        Plan {
            owner: owner.to_owned(),
            netns,
            wanted: 0,
            drift: Vec::new(),
            steps: Vec::new(),
            beside: Vec::new(),
            renamed: Vec::new(),
            devices: BTreeMap::new(),
            unrestored: Vec::new(),
            released: Vec::new(),
            findings: Vec::new(),
            unmatched: Vec::new(),
            skipped: BTreeSet::new(),
            problems: Vec::new(),
        }
    }
}

/// A fact that differs from its wanted value.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The fact.
    pub fact: Fact,
    /// The current value; `None` if the fact is absent.
    pub observed: Option<Value>,
    /// The wanted value; `None` if the plan removes the fact.
    pub desired: Option<Value>,
    /// The line of the document that wants it; an origin without a path for a fact that is released.
    pub origin: Arc<Origin>,
    /// Whether the document or the host changed; `None` if the ledger does not have the fact.
    pub cause: Option<Cause>,
}

impl Drift {
    /// The current and the wanted value for people. Two secrets look alike, so the second says that it
    /// differs.
    pub fn shown(&self) -> (String, String) {
        let (observed, desired) = (self.observed.as_ref(), self.desired.as_ref());
        let (is, mut should) = (self.fact.show(observed), self.fact.show(desired));
        if [observed, desired]
            .iter()
            .all(|value| value.is_some_and(Value::is_secret))
        {
            should.push_str(", differs");
        }
        (is, should)
    }
}

/// One op of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The op.
    pub op: Op,
    /// The phase in which the op runs.
    pub phase: Phase,
    /// The wanted fact that the op is for.
    pub fact: Fact,
    /// The op only restores a fact that is in sync now and that an earlier op changes.
    pub restores: bool,
    /// The document names the interface, so the op fails if the interface is gone. A matched interface may
    /// disappear before the op runs.
    pub named: bool,
    /// All facts that the op changes, its own fact first.
    pub changes: Vec<Change>,
    /// The undo of the op.
    pub undo: Undo,
    /// The document permits the loss.
    pub permitted: bool,
}

/// The undo of an op. It is exact if `loses` is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The ops of the undo, in the order of execution.
    pub ops: Vec<Op>,
    /// State that the undo does not restore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loses: Vec<Loss>,
}

impl Plan {
    /// Whether every wanted fact was read and has its wanted value, and nothing that the document names is skipped.
    pub fn in_sync(&self) -> bool {
        let differs = !self.drift.is_empty() || !self.skipped.is_empty() || !self.unrestored.is_empty();
        !differs && self.steps.is_empty() && self.problems.is_empty()
    }

    /// Whether the plan changes nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.released.is_empty()
    }

    /// The facts that the owner owns after the plan.
    pub fn claims(&self) -> impl Iterator<Item = OwnershipRecord> {
        let following = self.beside.iter().filter(|record| record.follows_forwarding());
        let following: BTreeSet<&Fact> = following.map(|record| &record.fact).collect();
        let kept = move |drift: &&Drift| {
            self.released.binary_search(&drift.fact).is_err() && !following.contains(&drift.fact)
        };
        let claims = self.drift.iter().filter(kept).map(|drift| OwnershipRecord {
            device: self.device(&drift.fact),
            fact: drift.fact.clone(),
            owner: self.owner.clone(),
            found: drift.observed.clone(),
            wrote: drift.desired.clone(),
            caused_by: None,
        });
        let renamed = self.renamed.iter().cloned();
        renamed.chain(claims).chain(self.beside.iter().cloned())
    }

    /// The interface of a fact of the drift. `None` for one that the plan makes.
    pub fn device(&self, fact: &Fact) -> Option<DeviceId> {
        self.devices.get(&fact.link_name()?).copied()
    }

    /// The steps that lose state without the document's permission.
    pub fn lossy(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| !step.undo.loses.is_empty() && !step.permitted)
    }
}
