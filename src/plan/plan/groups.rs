//! The objects of a plan in groups: objects of one kind with identical changes are one group, so that a plan
//! for thousands of interfaces can be read. Rare changes come first.

pub mod difference;
mod key;
pub mod lossy;
pub mod member;
pub mod pattern;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::plan::Plan;
use crate::plan::groups::difference::Difference;
use crate::plan::groups::key::{Key, Kind, Shape};
use crate::plan::groups::member::Member;
use crate::plan::groups::pattern::pattern;

/// Named objects with identical changes are one group from this number on. A document seldom names that many.
const MANY_NAMED: usize = 4;

/// A group is an outlier of another one that has at least this many times as many objects.
const OUTLIER: usize = 4;

/// Groups of fewer objects than this are small.
const SMALL: usize = 4;

/// More small groups than this, whose changes differ in the old values only, are one group.
const MANY_SMALL: usize = 8;

/// Whether identical changes are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Objects of one kind with identical changes are one group.
    Identical,
    /// Every object is a group of its own, in the order of the objects.
    Single,
}

/// Objects of one kind with identical changes.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The first object, as an example of all.
    pub first: Member<'a>,
    /// The other objects, in order.
    pub others: Vec<Member<'a>>,
    /// The document names the objects; they were not found by a match.
    pub is_named: bool,
    /// The old values differ: too many objects have old values of their own to show them one by one.
    pub varies: bool,
    /// The larger group that the objects would belong to if these changes were the same.
    pub differs: Option<Difference<'a>>,
}

impl<'a> Group<'a> {
    fn new(first: Member<'a>, others: Vec<Member<'a>>) -> Self {
        Group {
            first,
            others,
            is_named: first.is_named(),
            varies: false,
            differs: None,
        }
    }

    /// The number of objects.
    pub fn size(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether the group has one object only.
    pub fn is_single(&self) -> bool {
        self.others.is_empty()
    }

    /// The pattern of the names of the objects.
    pub fn pattern(&self) -> Option<String> {
        pattern(self.members().map(|member| member.object))
    }

    /// All objects, in order.
    pub fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Plan {
    /// The objects with their changes, in order.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let objects = self.drift.chunk_by(|a, b| a.fact.object == b.fact.object);
        objects.filter_map(|changes| {
            Some(Member {
                object: &changes.first()?.fact.object,
                changes,
            })
        })
    }

    /// The objects in groups: objects of their own first, then those that differ from a larger group, then the
    /// groups by size.
    pub fn groups(&self, grouping: Grouping) -> Vec<Group<'_>> {
        let single = |member| Group::new(member, Vec::new());
        if grouping == Grouping::Single {
            return self.members().map(single).collect();
        }
        let mut by_key: BTreeMap<Key<'_>, Vec<Member<'_>>> = BTreeMap::new();
        for member in self.members() {
            by_key.entry(Key::of(&member)).or_default().push(member);
        }
        let mut groups = Vec::new();
        for (_, members) in by_key {
            let few = members.len() < MANY_NAMED && members.iter().any(Member::is_named);
            let mut members = members.into_iter();
            if few {
                groups.extend(members.map(single));
            } else if let Some(first) = members.next() {
                groups.push(Group::new(first, members.collect()));
            }
        }
        let mut groups = merge_small(groups);
        note_outliers(&mut groups);
        groups.sort_by_key(|group| (rank(group), group.first.object));
        groups
    }
}

/// The place of a group: objects of their own, outliers from few to many objects, groups from many to few.
fn rank(group: &Group<'_>) -> (usize, usize) {
    match (&group.differs, group.is_single()) {
        (None, true) if !group.first.is_found() => (0, 0),
        (None, true) | (Some(_), _) => (1, group.size()),
        (None, false) => (2, usize::MAX - group.size()),
    }
}

/// Puts small groups together whose changes differ in the old values only, if there are many of them.
fn merge_small(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let (small, mut merged): (Vec<_>, Vec<_>) = groups
        .into_iter()
        .partition(|group| group.size() < SMALL && group.first.is_found());
    let mut by_shape: BTreeMap<Shape<'_>, Vec<Group<'_>>> = BTreeMap::new();
    for group in small {
        by_shape.entry(Shape::of(&group.first)).or_default().push(group);
    }
    for groups in by_shape.into_values() {
        if groups.len() <= MANY_SMALL {
            merged.extend(groups);
            continue;
        }
        let mut members: Vec<Member<'_>> = groups.iter().flat_map(Group::members).copied().collect();
        members.sort_by_key(|member| member.object);
        let mut members = members.into_iter();
        merged.extend(members.next().map(|first| Group {
            varies: true,
            ..Group::new(first, members.collect())
        }));
    }
    merged
}

/// Notes for each small group the larger one that the same rules of the document apply to.
fn note_outliers(groups: &mut [Group<'_>]) {
    let large: Vec<Group<'_>> = groups
        .iter()
        .filter(|group| group.size() >= OUTLIER && !group.is_named && !group.varies)
        .cloned()
        .collect();
    let small = |group: &&mut Group<'_>| !group.is_named && !group.varies;
    for group in groups.iter_mut().filter(small) {
        let candidates = large
            .iter()
            .filter(|large| large.size() >= OUTLIER * group.size());
        let same_rule = candidates.filter(|large| {
            Kind::of(large.first.object) == Kind::of(group.first.object)
                && large.first.shares_a_rule(&group.first)
        });
        let largest = same_rule.max_by_key(|large| large.size());
        group.differs = largest.map(|large| Difference::between(&group.first, &large.first));
    }
}
