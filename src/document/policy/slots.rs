//! Which node may begin a change of a policy. Each change needs a slot, which the server gives to one node alone. A
//! node decides by what it sees, and no clock of another node counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::policy::rollout::MaxUnavailable;

/// A point in time: since the observer started, by a clock that nobody sets.
pub type Now = Duration;

/// The progress of a node that holds a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It changed nothing yet.
    Taken,
    /// It may have changed something, and did not report a result.
    Begun,
    /// Its change failed.
    Failed,
}

/// A node that holds a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The name of the node.
    pub node: String,
    /// The UID of the Node; empty if it is not known.
    pub uid: String,
    /// Its progress.
    pub phase: Phase,
    /// The hash of the document to which it changes.
    pub document: String,
    /// The generation of the policy's object that has this document, if it is known.
    pub generation: Option<i64>,
}

/// A slot of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its number, from 0.
    pub index: u32,
    /// The node that holds it.
    pub holder: Option<Holder>,
    /// The slot expires when it was not written for so long.
    pub expires: Duration,
}

/// A Node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A node and its view of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The name of the node.
    pub own: &'a str,
    /// All Nodes of the cluster, by name.
    pub nodes: &'a BTreeMap<String, NodeSeen>,
    /// The slots of the policy.
    pub slots: &'a [Slot],
    /// The indices of slots that expired.
    pub expired: &'a BTreeSet<u32>,
    /// The hash of the policy's document that each holder of a slot has in force, as its `NetkeelNode` says.
    pub reported: &'a BTreeMap<String, String>,
    /// The nodes that the policy selects and that have a living agent.
    pub living: usize,
}

/// The decision of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The node holds this slot.
    Own(u32),
    /// It may take this slot. The server decides between nodes that try.
    Take(u32),
    /// It waits.
    Wait(Counts),
}

/// The slots that others hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of nodes that may change at one time.
    pub allowed: u32,
    /// The number of nodes that hold a slot.
    pub held: usize,
    /// The number of them whose change failed.
    pub failed: usize,
    /// The number of them that began and whose slot expired: they do not report.
    pub silent: usize,
}

/// Decides whether a node may begin a change.
pub fn decide(view: View<'_>, max: MaxUnavailable) -> Decision {
    let is_own = |slot: &&Slot| {
        let holder = slot.holder.as_ref();
        holder.is_some_and(|holder| holder.node == view.own && view.exists(holder))
    };
    if let Some(own) = view.slots.iter().find(is_own) {
        return Decision::Own(own.index);
    }
    let allowed = max.allowed(view.living.max(1));
    let held: Vec<&Slot> = view.slots.iter().filter(|slot| !view.is_free(slot)).collect();
    // A lower limit leaves slots of higher numbers. Nobody takes one of those, so that this count only falls.
    let above = held.iter().filter(|slot| slot.index >= allowed).count();
    let usable = allowed.saturating_sub(u32::try_from(above).unwrap_or(u32::MAX));
    let is_held = |index: u32| held.iter().any(|slot| slot.index == index);
    // Nodes that look at the same time try different slots.
    let first = spread(view.own) % usable.max(1);
    let free = (0..usable)
        .map(|step| ((u64::from(first) + u64::from(step)) % u64::from(usable)) as u32)
        .find(|index| !is_held(*index));
    match free {
        Some(index) => Decision::Take(index),
        None => {
            let of = |phase: Phase| {
                move |slot: &&&Slot| slot.holder.as_ref().is_some_and(|holder| holder.phase == phase)
            };
            let silent = held.iter().filter(of(Phase::Begun));
            Decision::Wait(Counts {
                allowed,
                held: held.len(),
                failed: held.iter().filter(of(Phase::Failed)).count(),
                silent: silent.filter(|slot| view.expired.contains(&slot.index)).count(),
            })
        }
    }
}

/// Whether the Node of a holder is there. One that was made anew under the name is another one.
fn exists(nodes: &BTreeMap<String, NodeSeen>, holder: &Holder) -> bool {
    let node = nodes.get(&holder.node);
    node.is_some_and(|node| holder.uid.is_empty() || node.uid == holder.uid)
}

/// Whether the Nodes are to be listed again before a decision: a slot was written after they were listed, at `listed`,
/// and its holder is not among them, since it may have joined in between. Each slot comes with the time since when it
/// was seen as it is.
pub fn must_list_again<'a>(
    nodes: &BTreeMap<String, NodeSeen>,
    listed: Now,
    slots: impl IntoIterator<Item = (&'a Slot, Option<Now>)>,
) -> bool {
    let is_missing = |slot: &Slot| slot.holder.as_ref().is_some_and(|holder| !exists(nodes, holder));
    let is_newer = |since: Option<Now>| since.is_none_or(|since| since > listed);
    let mut slots = slots.into_iter();
    slots.any(|(slot, since)| is_missing(slot) && is_newer(since))
}

impl View<'_> {
    fn exists(&self, holder: &Holder) -> bool {
        exists(self.nodes, holder)
    }

    /// Whether a slot may be taken.
    fn is_free(&self, slot: &Slot) -> bool {
        let Some(holder) = &slot.holder else {
            return true;
        };
        if !self.exists(holder) {
            return true;
        }
        let is_expired = self.expired.contains(&slot.index);
        match holder.phase {
            Phase::Taken => is_expired,
            Phase::Begun => is_expired && self.reported.get(&holder.node) == Some(&holder.document),
            Phase::Failed => false,
        }
    }
}

/// A number that differs from name to name (FNV-1a, 32 bits).
fn spread(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// When the Leases changed, as this node saw it. `renewTime` is a clock of another node, and does not count.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    seen: BTreeMap<String, Sighting>,
    /// The last list.
    listed: Option<Now>,
}

#[derive(Clone, Debug)]
struct Sighting {
    version: String,
    since: Now,
    /// It changed while this node looked.
    changed: bool,
}

impl Sightings {
    /// Forgets the Leases if the last list is older than `longest`. Of one that changed since then nobody knows when: its
    /// agent may be dead since long.
    pub fn forget_older(&mut self, longest: Duration, now: Now) {
        if self
            .listed
            .is_some_and(|listed| now.saturating_sub(listed) > longest)
        {
            *self = Sightings::default();
        }
    }

    /// Since when a Lease was seen as it is.
    pub fn since(&self, name: &str) -> Option<Now> {
        self.seen.get(name).map(|one| one.since)
    }

    /// Takes a complete list: the name and the version of each Lease.
    pub fn see<'a>(&mut self, listed: impl Iterator<Item = (&'a str, &'a str)>, now: Now) {
        self.listed = Some(now);
        let mut before = std::mem::take(&mut self.seen);
        for (name, version) in listed {
            let sighting = match before.remove(name) {
                Some(same) if same.version == version => same,
                other => Sighting {
                    version: version.to_owned(),
                    since: now,
                    changed: other.is_some(),
                },
            };
            self.seen.insert(name.to_owned(), sighting);
        }
    }

    /// Whether a Lease was the same for so long.
    pub fn is_expired(&self, name: &str, expires: Duration, now: Now) -> bool {
        let sighting = self.seen.get(name);
        sighting.is_some_and(|one| now.saturating_sub(one.since) >= expires)
    }

    /// Whether a Lease was seen to change, and is not expired. One that was only seen once may be that of a dead agent.
    pub fn is_living(&self, name: &str, expires: Duration, now: Now) -> bool {
        let changed = self.seen.get(name).is_some_and(|one| one.changed);
        changed && !self.is_expired(name, expires, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(index: u32, node: &str, phase: Phase) -> Slot {
        Slot {
            index,
            holder: (!node.is_empty()).then(|| Holder {
                node: node.to_owned(),
                uid: format!("u-{node}"),
                phase,
                document: "d1".to_owned(),
                generation: None,
            }),
            expires: Duration::from_secs(90),
        }
    }

    /// The decision of `n1` in a cluster of `n1` to `n9`.
    fn decided(slots: &[Slot], expired: &[u32], max: MaxUnavailable, living: usize) -> Decision {
        let node = |number: u32| {
            let seen = NodeSeen {
                uid: format!("u-n{number}"),
                ..NodeSeen::default()
            };
            (format!("n{number}"), seen)
        };
        decide(
            View {
                own: "n1",
                nodes: &(1..10).map(node).collect(),
                slots,
                expired: &expired.iter().copied().collect(),
                reported: &BTreeMap::from([
                    ("n7".to_owned(), "d1".to_owned()),
                    ("n8".to_owned(), "d0".to_owned()),
                ]),
                living,
            },
            max,
        )
    }

    fn waits(allowed: u32, held: usize, failed: usize, silent: usize) -> Decision {
        Decision::Wait(Counts {
            allowed,
            held,
            failed,
            silent,
        })
    }

    #[test]
    fn a_slot_is_free_or_counts() {
        use Phase::{Begun, Failed, Taken};
        let one = MaxUnavailable::Nodes(1);
        for (name, slots, expired, decision) in [
            ("nobody has one", vec![], vec![], Decision::Take(0)),
            ("given back", vec![slot(0, "", Taken)], vec![], Decision::Take(0)),
            ("own", vec![slot(0, "n1", Begun)], vec![0], Decision::Own(0)),
            (
                "own failure",
                vec![slot(0, "n1", Failed)],
                vec![],
                Decision::Own(0),
            ),
            ("held", vec![slot(0, "n2", Taken)], vec![], waits(1, 1, 0, 0)),
            (
                "expired before it began",
                vec![slot(0, "n2", Taken)],
                vec![0],
                Decision::Take(0),
            ),
            ("begun", vec![slot(0, "n2", Begun)], vec![], waits(1, 1, 0, 0)),
            (
                "begun, and silent since",
                vec![slot(0, "n2", Begun)],
                vec![0],
                waits(1, 1, 0, 1),
            ),
            (
                "begun and reported, not expired",
                vec![slot(0, "n7", Begun)],
                vec![],
                waits(1, 1, 0, 0),
            ),
            (
                "begun, reported and expired",
                vec![slot(0, "n7", Begun)],
                vec![0],
                Decision::Take(0),
            ),
            (
                "reported an older document",
                vec![slot(0, "n8", Begun)],
                vec![0],
                waits(1, 1, 0, 1),
            ),
            ("failed", vec![slot(0, "n2", Failed)], vec![], waits(1, 1, 1, 0)),
            (
                "failed and expired",
                vec![slot(0, "n2", Failed)],
                vec![0],
                waits(1, 1, 1, 0),
            ),
            (
                "its node is gone",
                vec![slot(0, "n99", Begun)],
                vec![],
                Decision::Take(0),
            ),
            (
                "its node is gone, and failed",
                vec![slot(0, "n99", Failed)],
                vec![],
                Decision::Take(0),
            ),
        ] {
            assert_eq!(decided(&slots, &expired, one, 1), decision, "{name}");
        }
        let mut anew = slot(0, "n2", Failed);
        anew.holder.as_mut().unwrap().uid = "before".to_owned();
        assert_eq!(
            decided(&[anew], &[], one, 1),
            Decision::Take(0),
            "its node was made anew"
        );
    }

    #[test]
    fn a_holder_that_joined_after_the_nodes_were_listed_is_not_gone() {
        let seconds = Duration::from_secs;
        let seen = NodeSeen {
            uid: "u-n2".to_owned(),
            ..NodeSeen::default()
        };
        let nodes = BTreeMap::from([("n2".to_owned(), seen)]);
        let mut anew = slot(0, "n2", Phase::Begun);
        anew.holder.as_mut().unwrap().uid = "before".to_owned();
        for (name, slot, since, again) in [
            ("free", slot(0, "", Phase::Taken), Some(11), false),
            ("listed", slot(0, "n2", Phase::Begun), Some(11), false),
            ("joined since", slot(0, "n3", Phase::Begun), Some(11), true),
            ("never seen", slot(0, "n3", Phase::Begun), None, true),
            ("gone before", slot(0, "n3", Phase::Begun), Some(10), false),
            ("made anew since", anew.clone(), Some(11), true),
            ("made anew before", anew, Some(9), false),
        ] {
            let slots = [(&slot, since.map(seconds))];
            assert_eq!(must_list_again(&nodes, seconds(10), slots), again, "{name}");
        }
    }

    #[test]
    fn a_lower_limit_counts_the_slots_above_it() {
        let two = MaxUnavailable::Nodes(2);
        let above = [slot(4, "n2", Phase::Begun)];
        assert_eq!(decided(&above, &[], two, 1), Decision::Take(0));
        // Nobody takes the slot 1 meanwhile, so that two nodes that see the same do not make three.
        let above = [slot(4, "n2", Phase::Begun), slot(0, "n3", Phase::Begun)];
        assert_eq!(decided(&above, &[], two, 1), waits(2, 2, 0, 0));
        let above = [2, 3, 4].map(|index| slot(index, &format!("n{index}"), Phase::Begun));
        assert_eq!(decided(&above, &[], two, 1), waits(2, 3, 0, 0));
    }

    #[test]
    fn a_share_is_one_of_the_nodes_with_a_living_agent() {
        let third = MaxUnavailable::Percent(34);
        let held = [slot(0, "n2", Phase::Begun)];
        assert_eq!(decided(&held, &[], third, 0), waits(1, 1, 0, 0));
        assert_eq!(decided(&held, &[], third, 5), waits(1, 1, 0, 0));
        assert_eq!(decided(&held, &[], third, 6), Decision::Take(1));
    }

    #[test]
    fn only_the_observers_clock_counts() {
        let seconds = Duration::from_secs;
        let (mut sightings, expires) = (Sightings::default(), seconds(90));
        let mut see = |version: &str, now: u64| {
            sightings.see([("a", version)].into_iter(), seconds(now));
            let living = sightings.is_living("a", expires, seconds(now));
            (living, sightings.is_expired("a", expires, seconds(now)))
        };
        assert_eq!(
            see("1", 10),
            (false, false),
            "it may be that of a dead agent, or not"
        );
        assert_eq!(see("1", 99), (false, false));
        assert_eq!(see("1", 100), (false, true));
        assert_eq!(see("2", 110), (true, false));
        assert_eq!(see("2", 199), (true, false));
        assert_eq!(see("2", 200), (false, true));
        sightings.see(std::iter::empty(), seconds(201));
        assert!(!sightings.is_expired("a", expires, seconds(999)), "it is gone");
    }

    #[test]
    fn a_lease_that_changed_after_a_long_time_without_a_list_is_not_that_of_a_living_agent() {
        let seconds = Duration::from_secs;
        for (pause, lives) in [(30, true), (180, true), (181, false), (1_000_000, false)] {
            let mut sightings = Sightings::default();
            sightings.see([("a", "1")].into_iter(), seconds(1));
            let now = seconds(1 + pause);
            sightings.forget_older(seconds(180), now);
            sightings.see([("a", "2")].into_iter(), now);
            assert_eq!(sightings.is_living("a", seconds(90), now), lives, "{pause}");
            assert_eq!(sightings.since("a"), Some(now));
            // It is seen to change again.
            sightings.forget_older(seconds(180), now + seconds(40));
            sightings.see([("a", "3")].into_iter(), now + seconds(40));
            assert!(sightings.is_living("a", seconds(90), now + seconds(40)));
        }
    }
}
