//! The drift of a plan by its facts. A fact is asked for several times, and then one of the next ones: it
//! is looked for there before it is searched for.

use std::cell::Cell;

use super::Drift;
use crate::fact::Fact;

/// What is to become of facts.
pub(crate) struct Drifts<'a> {
    /// In the order of the facts.
    all: &'a [Drift],
    /// Where the last one that was asked for stands.
    last: Cell<usize>,
}

impl<'a> Drifts<'a> {
    /// How far behind the last one it is looked for before it is searched for.
    const AHEAD: usize = 3;

    /// `all` is in the order of the facts.
    pub(crate) fn new(all: &'a [Drift]) -> Self {
        let last = Cell::new(0);
        Drifts { all, last }
    }

    /// What is to become of a fact.
    pub(crate) fn of(&self, fact: &Fact) -> Option<&'a Drift> {
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
