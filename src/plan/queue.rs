//! The ops of a plan that are still to be placed, in their order. Nearly all are known before the
//! first one is taken: they are sorted once, which takes a quarter of what a map takes.

use std::collections::BTreeMap;

use super::order::{Key, Place};
use crate::fact::Fact;
use crate::op::Op;

/// Ops that wait. There is one for a key: the one that was added last.
#[derive(Default)]
pub(super) struct Queue {
    /// Those that were added since the last one was taken, each among those of its place.
    new: BTreeMap<Place, Vec<(Key, Queued)>>,
    /// The first one last.
    sorted: Vec<(Key, Queued)>,
    /// Those that came while others waited.
    late: BTreeMap<Key, Queued>,
    /// How many wait for each fact, once somebody asked: most plans never do.
    facts: Option<BTreeMap<Fact, usize>>,
}

/// An op, and whether it only puts right what another one changes.
pub(super) type Queued = (Op, bool);

impl Queue {
    /// Adds an op.
    pub(super) fn push(&mut self, key: Key, queued: Queued) {
        if self.sorted.is_empty() && self.late.is_empty() {
            // What is counted is counted anew.
            self.facts = None;
            self.new.entry(key.place()).or_default().push((key, queued));
            return;
        }
        let place = self.sorted.binary_search_by(|(other, _)| key.cmp(other));
        let fact = key.fact.clone();
        let old = match place.ok().and_then(|at| self.sorted.get_mut(at)) {
            Some((_, old)) => Some(std::mem::replace(old, queued)),
            None => self.late.insert(key, queued),
        };
        if let (Some(facts), None) = (&mut self.facts, old) {
            *facts.entry(fact).or_default() += 1;
        }
    }

    /// Takes the first op.
    pub(super) fn pop(&mut self) -> Option<(Key, Queued)> {
        self.sort();
        let late = self.late.first_key_value();
        let sorted = self.sorted.last();
        let first = match (late, sorted) {
            (Some((late, _)), Some((sorted, _))) if late > sorted => self.sorted.pop(),
            (Some(_), _) => self.late.pop_first(),
            (None, _) => self.sorted.pop(),
        }?;
        if let Some(facts) = &mut self.facts
            && let Some(number) = facts.get_mut(&first.0.fact)
        {
            *number -= 1;
        }
        Some(first)
    }

    /// An op for this fact waits.
    pub(super) fn holds(&mut self, fact: &Fact) -> bool {
        self.sort();
        let facts = self.facts.get_or_insert_with(|| {
            let mut facts = BTreeMap::new();
            let sorted = self.sorted.iter().map(|(key, _)| key);
            for key in sorted.chain(self.late.keys()) {
                *facts.entry(key.fact.clone()).or_default() += 1;
            }
            facts
        });
        facts.get(fact).is_some_and(|number| *number > 0)
    }

    fn sort(&mut self) {
        if self.new.is_empty() {
            return;
        }
        let all = self.new.values().map(Vec::len).sum();
        let mut sorted = Vec::with_capacity(all);
        for (_, mut new) in std::mem::take(&mut self.new).into_iter().rev() {
            // In their order mostly: they come in that of their facts.
            new.sort_by(|(one, _), (two, _)| one.fact.cmp(&two.fact));
            new.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(&mut later.1, &mut earlier.1);
                }
                same
            });
            sorted.extend(new.into_iter().rev());
        }
        self.sorted = sorted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Field;
    use crate::netns::Netns;
    use crate::op::{Phase, Target};

    fn entry(name: &str, mtu: u32) -> (Key, Queued) {
        let name = name.parse().unwrap();
        let netns = Netns::CURRENT;
        let fact = Fact::link(&netns, name, Field::Mtu);
        let target = Target {
            netns,
            index: 1,
            name,
        };
        (
            Key::first(Phase::LowerLinks, fact),
            (Op::SetMtu { target, mtu }, false),
        )
    }

    fn taken(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop())
            .map(|(_, (op, _))| op.to_string())
            .collect()
    }

    #[test]
    fn the_first_is_taken_first_whenever_it_came_and_the_last_of_one_key_counts() {
        let mut queue = Queue::default();
        for (name, mtu) in [("d", 1), ("b", 2), ("f", 3), ("b", 4)] {
            let (key, queued) = entry(name, mtu);
            queue.push(key, queued);
        }
        let fact = |name| entry(name, 0).0.fact;
        assert!(queue.holds(&fact("b")) && !queue.holds(&fact("a")));
        let (_, (first, _)) = queue.pop().unwrap();
        assert_eq!(first.to_string(), "ip link set dev b mtu 4");
        assert!(!queue.holds(&fact("b")));
        for (name, mtu) in [("e", 5), ("a", 6), ("f", 7), ("e", 8), ("g", 9)] {
            let (key, queued) = entry(name, mtu);
            queue.push(key, queued);
        }
        assert!(queue.holds(&fact("a")));
        assert_eq!(
            taken(&mut queue),
            [
                "ip link set dev a mtu 6",
                "ip link set dev d mtu 1",
                "ip link set dev e mtu 8",
                "ip link set dev f mtu 7",
                "ip link set dev g mtu 9",
            ]
        );
        assert!(!queue.holds(&fact("f")));
        let (key, queued) = entry("f", 10);
        queue.push(key, queued);
        assert!(queue.holds(&fact("f")));
        assert_eq!(taken(&mut queue), ["ip link set dev f mtu 10"]);
    }
}
