//! A plan: drift, and the steps that remove it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ledger::OwnershipRecord;
use crate::loss::Loss;
use netkeel_core::fact::{Fact, Value};
use netkeel_core::finding::Finding;
use netkeel_core::name::netns::Netns;
use netkeel_core::op::{Op, Phase};
use netkeel_document::want::Origin;
use netkeel_host::model::Change;
use netkeel_host::snapshot::problem::Problem;

/// What is to be done, and what was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The owner of the document.
    pub owner: String,
    /// The namespace.
    pub netns: Netns,
    /// How many facts the document wants, less those of interfaces that are not there.
    pub wanted: usize,
    /// The facts that differ, in order.
    pub drift: Vec<Drift>,
    /// The ops, in the order in which they are done.
    pub steps: Vec<Step>,
    /// Facts that nobody wants and that the kernel changes with those that are written: they are
    /// given back with them.
    pub beside: Vec<OwnershipRecord>,
    /// Facts that the owner holds no longer when this is done.
    pub released: Vec<Fact>,
    /// What should be known.
    pub findings: Vec<Finding>,
    /// Matches of the document that meet no interface, each by its path.
    pub unmatched: Vec<Arc<str>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A fact that is not as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The fact.
    pub fact: Fact,
    /// What it is; none when it is absent.
    pub observed: Option<Value>,
    /// What it should be; none when it is to go.
    pub desired: Option<Value>,
    /// The line of the document that wants it; one without a path where none does.
    pub origin: Arc<Origin>,
}

/// One op of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The op.
    pub op: Op,
    /// When it is done.
    pub phase: Phase,
    /// The wanted fact it is for.
    pub fact: Fact,
    /// The op is there because an op before it changes a fact that is right now.
    pub restores: bool,
    /// The interface is named in the document: an op on one that is gone fails. One that was
    /// matched may have gone meanwhile.
    pub named: bool,
    /// All facts that the op changes, its own first.
    pub changes: Vec<Change>,
    /// How to undo it.
    pub undo: Undo,
    /// The document permits what is lost.
    pub permitted: bool,
}

/// How to undo an op: exactly when `loses` is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The ops, in the order in which they are to be done.
    pub ops: Vec<Op>,
    /// What they do not bring back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loses: Vec<Loss>,
}

impl Plan {
    /// Every wanted fact is known, and is as it is wanted.
    pub fn in_sync(&self) -> bool {
        self.drift.is_empty() && self.steps.is_empty() && self.problems.is_empty()
    }

    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.released.is_empty()
    }

    /// What the owner holds once it is done.
    pub fn claims(&self) -> impl Iterator<Item = OwnershipRecord> {
        let kept = |drift: &&Drift| self.released.binary_search(&drift.fact).is_err();
        let claims = self.drift.iter().filter(kept).map(|drift| OwnershipRecord {
            fact: drift.fact.clone(),
            owner: self.owner.clone(),
            found: drift.observed.clone(),
            wrote: drift.desired.clone(),
            caused_by: None,
        });
        claims.chain(self.beside.iter().cloned())
    }

    /// The steps that lose something which the document does not permit.
    pub fn lossy(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| !step.undo.loses.is_empty() && !step.permitted)
    }
}
