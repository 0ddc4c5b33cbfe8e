//! The hosts of a fleet in groups. Memory grows with the groups, not with the hosts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::review::class::Class;
use crate::review::effect::Effects;
use crate::review::group::{Group, Hosts, Key, Risk, Stage};
use crate::review::host::{HostChange, MANY};

/// The most hosts that cannot be planned whose errors are kept.
const ERRORS: usize = 20;

/// A group is an outlier if there is a group with at least this many times as many hosts.
const OUTLIER: usize = 4;

/// The most characters of an error that are kept. A snapshot of another program may have an error of any length.
const LONGEST_ERROR: usize = 300;

/// Why a host has no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unplanned {
    /// The new document is refused there.
    New,
    /// The old document is refused there, so that nothing tells what the new one changes.
    Old,
    /// Its snapshot cannot be read.
    Snapshot,
    /// The inventory has no valid document for it.
    Document,
    /// The inventory names it, and it has no snapshot.
    Missing,
}

/// Hosts that cannot be planned for the same reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// The hosts.
    pub hosts: Hosts,
    /// The errors of the first hosts, by host.
    pub errors: BTreeMap<String, String>,
}

/// The hosts so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    groups: BTreeMap<Key, Group>,
    /// Hosts without a change.
    pub unchanged: Hosts,
    /// Hosts that cannot be planned.
    pub unplanned: BTreeMap<Unplanned, Failures>,
}

impl Fleet {
    /// Adds a host.
    pub fn add(&mut self, host: &str, stage: Option<Stage>, change: HostChange) {
        if change.is_empty() {
            self.unchanged.add(host, stage);
            return;
        }
        let key = Key::of(&change);
        self.put(key, Group::new(host, stage, change));
    }

    /// Adds a host that cannot be planned.
    pub fn fail(&mut self, host: &str, stage: Option<Stage>, why: Unplanned, error: &str) {
        let failures = self.unplanned.entry(why).or_default();
        failures.hosts.add(host, stage);
        failures.note(host.to_owned(), cut(error));
    }

    /// Adds the hosts of another part of the fleet.
    pub fn extend(&mut self, other: Fleet) {
        for (key, group) in other.groups {
            self.put(key, group);
        }
        self.unchanged.extend(other.unchanged);
        for (why, with) in other.unplanned {
            let failures = self.unplanned.entry(why).or_default();
            failures.hosts.extend(with.hosts);
            for (host, error) in with.errors {
                failures.note(host, error);
            }
        }
    }

    fn put(&mut self, key: Key, group: Group) {
        match self.groups.get_mut(&key) {
            Some(known) => known.extend(group),
            None => {
                self.groups.insert(key, group);
            }
        }
    }

    /// The review of all hosts.
    pub fn review(self) -> Review {
        let mut groups = merge_small(self.groups);
        let most = groups.iter().map(|group| group.hosts.count()).max().unwrap_or(0);
        groups.sort_by_key(|group| rank(group, most));
        Review {
            groups,
            unchanged: self.unchanged,
            unplanned: self.unplanned,
        }
    }
}

impl Failures {
    fn note(&mut self, host: String, error: String) {
        self.errors.insert(host, error);
        if self.errors.len() > ERRORS {
            self.errors.pop_last();
        }
    }
}

/// The beginning of an error.
fn cut(error: &str) -> String {
    match error.char_indices().nth(LONGEST_ERROR) {
        Some((end, _)) => format!("{}...", error.get(..end).unwrap_or_default()),
        None => error.to_owned(),
    }
}

/// The effect of a change on a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The hosts that change: those with the greatest risk first, then few hosts before many.
    pub groups: Vec<Group>,
    /// Hosts without a change.
    pub unchanged: Hosts,
    /// Hosts that cannot be planned.
    pub unplanned: BTreeMap<Unplanned, Failures>,
}

impl Review {
    /// The number of hosts that change.
    pub fn changed(&self) -> usize {
        self.groups.iter().map(|group| group.hosts.count()).sum()
    }

    /// The number of hosts that cannot be planned.
    pub fn failed(&self) -> usize {
        self.unplanned
            .values()
            .map(|failures| failures.hosts.count())
            .sum()
    }

    /// The number of all hosts.
    pub fn hosts(&self) -> usize {
        self.changed() + self.unchanged.count() + self.failed()
    }

    /// The number of hosts with such a group.
    pub fn hosts_with(&self, has: impl Fn(&Group) -> bool) -> usize {
        let groups = self.groups.iter().filter(|group| has(group));
        groups.map(|group| group.hosts.count()).sum()
    }
}

/// The place of a group.
fn rank(group: &Group, most: usize) -> (Risk, bool, bool, usize) {
    let hosts = group.hosts.count();
    let is_outlier = hosts.saturating_mul(OUTLIER) <= most;
    let by_size = if is_outlier { hosts } else { usize::MAX - hosts };
    (
        group.risk(),
        !is_outlier,
        is_outlier && !group.is_singular(),
        by_size,
    )
}

/// Puts groups together that differ in the old values only, if there are many of them.
fn merge_small(groups: BTreeMap<Key, Group>) -> Vec<Group> {
    let shape = |key: &Key| Key {
        classes: key.classes.iter().map(Class::without_before).collect(),
        codes: key.codes.clone(),
        parts: key.parts.clone(),
    };
    let mut shapes: BTreeMap<Key, usize> = BTreeMap::new();
    for key in groups.keys() {
        *shapes.entry(shape(key)).or_default() += 1;
    }
    let mut merged: BTreeMap<Key, Group> = BTreeMap::new();
    let mut kept = Vec::new();
    for (key, group) in groups {
        let shape = shape(&key);
        if shapes.get(&shape).is_none_or(|number| *number <= MANY) {
            kept.push(group);
            continue;
        }
        let group = without_before(group);
        match merged.get_mut(&shape) {
            Some(known) => known.extend(group),
            None => {
                merged.insert(shape, group);
            }
        }
    }
    kept.extend(merged.into_values());
    kept
}

/// The group with old values that may differ.
fn without_before(group: Group) -> Group {
    let mut effects = Effects::new();
    for (class, effect) in group.effects {
        match effects.entry(class.without_before()) {
            Entry::Vacant(place) => {
                place.insert(effect);
            }
            Entry::Occupied(mut known) => known.get_mut().join(effect),
        }
    }
    Group { effects, ..group }
}
