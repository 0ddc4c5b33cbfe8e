//! The queue of ops that a plan has not placed yet.

use std::collections::BTreeMap;

use crate::order::SortKey;
use netkeel_core::fact::Fact;
use netkeel_core::op::{Op, Phase};

/// Queued ops. A later op with the same key replaces the earlier one.
#[derive(Default)]
pub(crate) struct Queue {
    /// By phase and rank, then by fact. There are few phases and ranks. None of the inner maps is empty.
    ops: BTreeMap<(Phase, i32), BTreeMap<Fact, Queued>>,
}

/// An op, and whether it only restores a fact that another op changes.
pub(crate) type Queued = (Op, bool);

impl Queue {
    /// Adds an op.
    pub fn push(&mut self, key: SortKey, queued: Queued) {
        let SortKey { phase, rank, fact } = key;
        self.ops.entry((phase, rank)).or_default().insert(fact, queued);
    }

    /// Removes the first op.
    pub fn pop(&mut self) -> Option<(SortKey, Queued)> {
        let mut first = self.ops.first_entry()?;
        let (phase, rank) = *first.key();
        let (fact, queued) = first.get_mut().pop_first()?;
        if first.get().is_empty() {
            first.remove();
        }
        Some((SortKey { phase, rank, fact }, queued))
    }

    /// Whether an op for this fact is queued.
    pub(crate) fn holds(&self, fact: &Fact) -> bool {
        self.ops.values().any(|ops| ops.contains_key(fact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::fact::Field;
    use netkeel_core::name::netns::Netns;
    use netkeel_core::op::Target;

    fn entry(name: &str, mtu: u32) -> (SortKey, Queued) {
        let name = name.parse().unwrap();
        let netns = Netns::CURRENT;
        let fact = Fact::link(&netns, name, Field::Mtu);
        let target = Target {
            netns,
            index: 1,
            name,
        };
        (
            SortKey::first(Phase::LowerLinks, fact),
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
