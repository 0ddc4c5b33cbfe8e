//! What facts were before a plan. Of those that differ from what is wanted the drift says it, so
//! that only the others, which an op changes beside its own, are kept anew.

use std::collections::BTreeMap;

use crate::plan::Drift;
use netkeel_core::fact::{Fact, Value};
use netkeel_host::model::Change;

/// The values that facts had before the plan, of those that it has changed so far.
pub(crate) struct Originals<'a> {
    drift: BTreeMap<&'a Fact, &'a Drift>,
    others: BTreeMap<Fact, Option<Value>>,
}

/// Where the value of a changed fact before the plan is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is a fact that differs from what is wanted.
    Drifts,
    /// It was as it should be, or nobody wants it.
    Other,
}

impl<'a> Originals<'a> {
    /// Those of a plan that changed nothing so far.
    pub fn new(drift: &'a [Drift]) -> Self {
        Originals {
            drift: drift.iter().map(|drift| (&drift.fact, drift)).collect(),
            others: BTreeMap::new(),
        }
    }

    /// Notes what a fact was, unless it was changed before.
    pub fn note(&mut self, change: &Change) -> Known {
        if self.drift.contains_key(&change.fact) {
            return Known::Drifts;
        }
        if !self.others.contains_key(&change.fact) {
            self.others.insert(change.fact.clone(), change.from.clone());
        }
        Known::Other
    }

    /// What is to become of a fact that differs.
    pub(crate) fn drift_of(&self, fact: &Fact) -> Option<&'a Drift> {
        self.drift.get(fact).copied()
    }

    /// What a fact was; the inner none stands for one that was not there. The outer none means that
    /// the plan did not change it so far.
    pub fn get(&self, fact: &Fact) -> Option<Option<&Value>> {
        match self.drift.get(fact) {
            Some(drift) => Some(drift.observed.as_ref()),
            None => self.others.get(fact).map(Option::as_ref),
        }
    }
}
