//! What facts were before a plan. Of those that differ from what is wanted the drift says it, so
//! that only the others, which an op changes beside its own, are kept anew.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::Drift;
use crate::fact::{Fact, Value};
use crate::snapshot::Change;

/// The values that facts had before the plan, of those that it has changed so far.
pub(super) struct Originals<'a> {
    drift: Sorted<'a>,
    others: BTreeMap<Fact, Option<Value>>,
}

/// Where the value of a changed fact before the plan is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is a fact that differs from what is wanted.
    Drifts,
    /// It was as it should be, or nobody wants it.
    Other,
}

impl<'a> Originals<'a> {
    /// `drift` is in the order of the facts.
    pub(super) fn new(drift: &'a [Drift]) -> Self {
        Originals {
            drift: Sorted::new(drift),
            others: BTreeMap::new(),
        }
    }

    /// Notes what a fact was, unless it was changed before.
    pub(super) fn note(&mut self, change: &Change) -> Known {
        if self.drift.of(&change.fact).is_some() {
            return Known::Drifts;
        }
        if !self.others.contains_key(&change.fact) {
            self.others.insert(change.fact.clone(), change.from.clone());
        }
        Known::Other
    }

    /// What is to become of a fact that differs.
    pub(super) fn drift_of(&self, fact: &Fact) -> Option<&'a Drift> {
        self.drift.of(fact)
    }

    /// What a fact was; the inner none stands for one that was not there. The outer none means that
    /// the plan did not change it so far.
    pub(super) fn get(&self, fact: &Fact) -> Option<Option<&Value>> {
        match self.drift.of(fact) {
            Some(drift) => Some(drift.observed.as_ref()),
            None => self.others.get(fact).map(Option::as_ref),
        }
    }
}

/// What is to become of facts. One fact is asked for several times, and then one of the next.
struct Sorted<'a> {
    /// In the order of the facts.
    all: &'a [Drift],
    /// Where the last one that was asked for stands.
    last: Cell<usize>,
}

impl<'a> Sorted<'a> {
    /// How far behind the last one it is looked for before it is searched for.
    const AHEAD: usize = 3;

    fn new(all: &'a [Drift]) -> Self {
        let last = Cell::new(0);
        Sorted { all, last }
    }

    fn of(&self, fact: &Fact) -> Option<&'a Drift> {
        let near = self
            .all
            .iter()
            .enumerate()
            .skip(self.last.get())
            .take(Self::AHEAD);
        let mut near = near.filter(|(_, drift)| drift.fact == *fact);
        let at = match near.next() {
            Some((at, _)) => at,
            None => self.all.binary_search_by(|drift| drift.fact.cmp(fact)).ok()?,
        };
        self.last.set(at);
        self.all.get(at)
    }
}
