//! The growth of counters between two readings.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counters::counter::{Counter, LinkStat, NetlinkSocket, QdiscStat, RuleKey};
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
    /// Interfaces of the end that the beginning did not have. Their counters began within the window.
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
            (Some(old), Some(new)) => old.index == new.index,
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
                Some(link) if appeared.contains(&link) => Some(0),
                _ => before
                    .counters
                    .get(&counter)
                    .copied()
                    .or_else(|| zero_before(&counter)),
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

    /// The growth of the drops of netlink sockets, those with a growth only.
    pub fn netlink_drops(&self) -> impl Iterator<Item = (NetlinkSocket, u64)> {
        self.grown.iter().filter_map(|(counter, growth)| match counter {
            Counter::NetlinkDrops(socket) if *growth > 0 => Some((*socket, *growth)),
            _ => None,
        })
    }

    /// The growth of rules that drop, those with a growth only.
    pub fn rules(&self) -> impl Iterator<Item = (&RuleKey, u64)> {
        self.grown.iter().filter_map(|(counter, growth)| match counter {
            Counter::Rule(key) if *growth > 0 => Some((key, *growth)),
            _ => None,
        })
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

/// The kernel shows a drop reason, an ICMP type and an object only once it has one: a counter that is not
/// shown then is 0.
fn zero_before(counter: &Counter) -> Option<u64> {
    match counter {
        Counter::DropReason(_) => Some(0),
        Counter::Protocol(group, _) if matches!(group.as_ref(), "IcmpMsg" | "Icmp6") => Some(0),
        Counter::Protocol(..)
        | Counter::Link(..)
        | Counter::Cpu(..)
        | Counter::Qdisc(..)
        | Counter::Conntrack(_)
        | Counter::Neighbours(..)
        | Counter::RouteLookup(_)
        | Counter::NetlinkDrops(_)
        | Counter::QueueDrops(_)
        | Counter::Rule(_) => None,
    }
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
