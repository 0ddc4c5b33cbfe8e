//! The growth of counters between two readings.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counters::counter::{Counter, LinkStat, QdiscStat};
use crate::counters::entries;
use crate::counters::reading::{Gauge, Reading};
use crate::counters::unread::{Source, Unread};
use netkeel_core::name::link::LinkName;

/// The growth of all counters over a window, with the state at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deltas {
    /// The length of the window, milliseconds.
    pub window_ms: u64,
    /// The growth, zeros included. A counter that is missing is unknown.
    #[serde(with = "entries")]
    #[schemars(with = "Vec<(Counter, u64)>")]
    pub grown: BTreeMap<Counter, u64>,
    /// Counters that went back: their growth is unknown.
    pub reset: BTreeSet<Counter>,
    /// Interfaces of the end that the beginning did not have under this name and index. They may have been
    /// renamed, or moved from another namespace with all that they counted there: their growth is unknown.
    pub appeared: BTreeSet<LinkName>,
    /// Interfaces of the beginning that the end did not have. Their growth is unknown.
    pub vanished: BTreeSet<LinkName>,
    /// Sources that either reading lacks.
    pub unread: BTreeSet<Unread>,
    /// The state at the beginning, without counters.
    pub before: Reading,
    /// The state at the end, without counters.
    pub after: Reading,
}

impl Deltas {
    /// The growth from one reading to a later one.
    pub fn between(mut before: Reading, mut after: Reading) -> Self {
        let same = |name: &LinkName| match (before.links.get(name), after.links.get(name)) {
            (Some(old), Some(new)) => (old.index, &old.kind) == (new.index, &new.kind),
            _ => false,
        };
        let without = |these: &Reading| {
            let changed = these.links.keys().filter(|name| !same(name));
            changed.copied().collect::<BTreeSet<_>>()
        };
        let (vanished, appeared) = (without(&before), without(&after));
        let mut deltas = Deltas {
            window_ms: after.at_ms.saturating_sub(before.at_ms),
            unread: before.unread.union(&after.unread).cloned().collect(),
            ..Deltas::default()
        };
        for (counter, now) in std::mem::take(&mut after.counters) {
            let was = match counter.link() {
                Some(link) if appeared.contains(&link) => None,
                // A qdisc that was replaced began again.
                Some(link) if is_of_another_qdisc(&counter, link, &before, &after) => None,
                _ => before
                    .counters
                    .get(&counter)
                    .copied()
                    .or_else(|| zero_before(&counter, &before)),
            };
            match was.and_then(|was| growth(&counter, was, now)) {
                Some(growth) => drop(deltas.grown.insert(counter, growth)),
                None if was.is_some() => drop(deltas.reset.insert(counter)),
                // The beginning did not read it.
                None => {}
            }
        }
        before.counters.clear();
        Deltas {
            appeared,
            vanished,
            before,
            after,
            ..deltas
        }
    }

    /// The growth of a counter; none if it is unknown.
    pub fn of(&self, counter: &Counter) -> Option<u64> {
        self.grown.get(counter).copied()
    }

    /// The growth of a counter of a protocol (`Udp`, `RcvbufErrors`); none if it is unknown.
    pub fn protocol(&self, group: &str, name: &str) -> Option<u64> {
        self.of(&Counter::protocol(group, name))
    }

    /// The growth of a counter of an interface; none if it is unknown.
    pub fn link(&self, link: LinkName, stat: LinkStat) -> Option<u64> {
        self.of(&Counter::Link(link, stat))
    }

    /// The growth of a counter of an interface's root qdisc; none if it is unknown.
    pub fn qdisc(&self, link: LinkName, stat: QdiscStat) -> Option<u64> {
        self.of(&Counter::Qdisc(link, stat))
    }

    /// A gauge at the end; none if it is unknown.
    pub fn gauge(&self, gauge: &Gauge) -> Option<u64> {
        self.after.gauges.get(gauge).copied()
    }

    /// The reason why a source was not read at the beginning or at the end.
    pub fn unread(&self, source: Source) -> Option<&Unread> {
        self.unread.iter().find(|unread| unread.source == source)
    }
}

/// Whether a counter is of a qdisc, and the interface had one of another kind before.
fn is_of_another_qdisc(counter: &Counter, link: LinkName, before: &Reading, after: &Reading) -> bool {
    matches!(counter, Counter::Qdisc(..)) && before.qdiscs.get(&link) != after.qdiscs.get(&link)
}

/// The kernel shows a drop reason and an ICMP type only once it counted one, and a socket or a rule begins at
/// 0: where the source was read and lacked the counter, it was 0. So are details of an interface, which a reading
/// leaves out.
fn zero_before(counter: &Counter, before: &Reading) -> Option<u64> {
    let source = match counter {
        Counter::DropReason(_) => Source::DropReasons,
        Counter::Protocol(group, _) if **group == *"IcmpMsg" => Source::Snmp,
        Counter::Protocol(group, _) if **group == *"Icmp6" => Source::Snmp6,
        Counter::NetlinkDrops(_) => Source::Netlink,
        Counter::QueueDrops(_) => Source::Queues,
        Counter::Rule(key) if key.is_legacy() => Source::Iptables,
        Counter::Rule(_) => Source::Nftables,
        Counter::Filters(link, _) if before.links.contains_key(link) => Source::Qdiscs,
        Counter::Link(link, stat) if stat.is_detail() && before.links.contains_key(link) => Source::Links,
        Counter::Protocol(..)
        | Counter::Link(..)
        | Counter::Cpu(..)
        | Counter::Qdisc(..)
        | Counter::Filters(..)
        | Counter::Conntrack(_)
        | Counter::Neighbours(..)
        | Counter::RouteLookup(_) => return None,
    };
    before.unread(source).is_none().then_some(0)
}

/// The growth; none for a counter that was reset. A counter of 32 bits that was high before has wrapped.
fn growth(counter: &Counter, was: u64, now: u64) -> Option<u64> {
    const WRAP: u64 = 1 << 32;
    match now.checked_sub(was) {
        Some(growth) => Some(growth),
        None if counter.may_wrap() && was < WRAP && was - now > WRAP / 2 => Some(now + WRAP - was),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::counter::CpuStat;
    use crate::counters::reading::LinkIdentity;

    fn reading(at_ms: u64, counters: &[(Counter, u64)], links: &[(&str, u32)]) -> Reading {
        let identity = |index| LinkIdentity {
            index,
            mtu: 1500,
            ..LinkIdentity::default()
        };
        Reading {
            at_ms,
            counters: counters.iter().cloned().collect(),
            links: links
                .iter()
                .map(|(name, index)| (name.parse().unwrap(), identity(*index)))
                .collect(),
            ..Reading::default()
        }
    }

    fn rx(link: &str) -> Counter {
        Counter::Link(link.parse().unwrap(), LinkStat::RxDropped)
    }

    #[test]
    fn a_counter_of_32_bits_wraps_and_another_was_reset() {
        let cpu = Counter::Cpu(0, CpuStat::Dropped);
        let squeezed = Counter::Cpu(0, CpuStat::Squeezed);
        let udp = Counter::protocol("Udp", "InErrors");
        let before = reading(
            1000,
            &[
                (cpu.clone(), 4_294_967_290),
                (squeezed.clone(), 7),
                (udp.clone(), 50),
            ],
            &[],
        );
        let after = reading(
            3500,
            &[(cpu.clone(), 4), (squeezed.clone(), 3), (udp.clone(), 5)],
            &[],
        );
        let deltas = Deltas::between(before, after);
        assert_eq!(deltas.window_ms, 2500);
        assert_eq!(deltas.of(&cpu), Some(10));
        assert_eq!(deltas.of(&squeezed), None);
        assert_eq!(deltas.reset, BTreeSet::from([squeezed, udp]));
    }

    #[test]
    fn the_growth_of_an_interface_that_came_or_was_renamed_or_moved_is_unknown() {
        let before = reading(
            0,
            &[
                (rx("stay"), 5),
                (rx("new"), 900),
                (rx("old"), 70),
                (rx("gone"), 1),
            ],
            &[("stay", 1), ("new", 2), ("old", 4), ("gone", 3)],
        );
        // `old` became `ext`, and `moved` brings what it counted in another namespace.
        let after = reading(
            1,
            &[
                (rx("stay"), 6),
                (rx("new"), 4),
                (rx("ext"), 80),
                (rx("moved"), 5000),
            ],
            &[("stay", 1), ("new", 9), ("ext", 4), ("moved", 12)],
        );
        let deltas = Deltas::between(before, after);
        assert_eq!(deltas.grown, BTreeMap::from([(rx("stay"), 1)]));
        assert_eq!(deltas.reset, BTreeSet::new());
        let names = |set: &BTreeSet<LinkName>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&deltas.appeared), ["ext", "moved", "new"]);
        assert_eq!(names(&deltas.vanished), ["gone", "new", "old"]);
    }

    #[test]
    fn a_qdisc_that_was_replaced_began_again() {
        let drops = Counter::Qdisc("a".parse().unwrap(), QdiscStat::Drops);
        let with = |kind: &str, drops: &(Counter, u64)| {
            let mut reading = reading(0, std::slice::from_ref(drops), &[("a", 1)]);
            reading.qdiscs.insert("a".parse().unwrap(), kind.into());
            reading
        };
        let grown = |kind| {
            let (before, after) = (with("fq", &(drops.clone(), 4)), with(kind, &(drops.clone(), 9)));
            Deltas::between(before, after).of(&drops)
        };
        assert_eq!((grown("fq"), grown("tbf")), (Some(5), None));
    }

    #[test]
    fn what_the_beginning_did_not_read_is_unknown_and_what_it_lacked_was_zero() {
        let type3 = Counter::protocol("IcmpMsg", "InType3");
        let frag = Counter::protocol("Ip", "FragFails");
        let after = reading(1, &[(type3.clone(), 3), (frag.clone(), 9)], &[]);
        let deltas = Deltas::between(reading(0, &[], &[]), after.clone());
        assert_eq!((deltas.of(&type3), deltas.of(&frag)), (Some(3), None));
        let mut unread = reading(0, &[], &[]);
        unread.unread.insert(Unread {
            source: Source::Snmp,
            absent: false,
            why: "EACCES".to_owned(),
        });
        let deltas = Deltas::between(unread, after);
        assert_eq!(deltas.of(&type3), None);
        assert!(deltas.unread(Source::Snmp).is_some());
    }

    #[test]
    fn deltas_are_stored_and_read_back() {
        let before = reading(0, &[(rx("a"), 1)], &[("a", 1)]);
        let after = reading(9, &[(rx("a"), 4)], &[("a", 1)]);
        let deltas = Deltas::between(before, after);
        let text = serde_json::to_string(&deltas).unwrap();
        assert_eq!(serde_json::from_str::<Deltas>(&text).unwrap(), deltas);
    }
}
