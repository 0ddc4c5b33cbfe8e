//! The values of facts before a plan. The drift already has the values of facts that differ, so only side
//! effects of ops are stored.

use std::collections::BTreeMap;

use crate::plan::Drift;
use netkeel_core::fact::{Fact, Value};
use netkeel_host::model::Change;

/// The earlier value of every fact that the plan has changed so far.
pub(crate) struct Originals<'a> {
    /// In the order of the facts.
    drift: &'a [Drift],
    others: BTreeMap<Fact, Option<Value>>,
}

/// The source of a changed fact's earlier value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The drift has it: the fact differs from its wanted value.
    Drifts,
    /// The fact had its wanted value, or no document wants it.
    Other,
}

impl<'a> Originals<'a> {
    /// The originals of a plan that has not changed anything yet. `drift` must be in the order of the facts.
    pub fn new(drift: &'a [Drift]) -> Self {
        Originals {
            drift,
            others: BTreeMap::new(),
        }
    }

    /// Stores the earlier value of a fact, unless the plan changed the fact before.
    pub fn note(&mut self, change: &Change) -> Known {
        if self.drift_of(&change.fact).is_some() {
            return Known::Drifts;
        }
        if !self.others.contains_key(&change.fact) {
            self.others.insert(change.fact.clone(), change.from.clone());
        }
        Known::Other
    }

    /// The drift of a fact that differs.
    pub(crate) fn drift_of(&self, fact: &Fact) -> Option<&'a Drift> {
        let at = self.drift.binary_search_by(|drift| drift.fact.cmp(fact)).ok()?;
        self.drift.get(at)
    }

    /// The earlier value of a fact. The inner `None` means that it did not exist; the outer `None` that the
    /// plan has not changed it.
    pub fn get(&self, fact: &Fact) -> Option<Option<&Value>> {
        match self.drift_of(fact) {
            Some(drift) => Some(drift.observed.as_ref()),
            None => self.others.get(fact).map(Option::as_ref),
        }
    }
}
