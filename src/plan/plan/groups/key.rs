//! The key of a group: objects with equal keys have identical changes.

use crate::plan::Drift;
use crate::plan::cause::Side;
use crate::plan::groups::member::Member;
use crate::plan::groups::pattern;
use netkeel_core::fact::{Field, Object, Value};

/// The kind of an object, with all of its name that two objects of a group must share.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind<'a> {
    /// An object that is always a group of its own.
    Single(&'a Object),
    /// A setting below `net` of an interface: family, table and leaf.
    Sysctl(&'a str, &'a str, &'a str),
    Link,
}

/// A change without the name of its object.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Change<'a> {
    field: Field,
    observed: Option<&'a Value>,
    desired: Option<&'a Value>,
    /// The rule of a match. Each named object has a line of its own.
    path: Option<&'a str>,
    derivation: Option<&'a str>,
    /// Without the time: interfaces that appear one by one are written one by one.
    changed: Option<Side>,
}

/// Everything that two objects of a group share.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'a> {
    kind: Kind<'a>,
    is_named: bool,
    changes: Vec<Change<'a>>,
}

impl<'a> Key<'a> {
    /// The key of an object.
    pub(super) fn of(member: &Member<'a>) -> Self {
        let is_named = member.is_named();
        Key {
            kind: Kind::of(member.object),
            is_named,
            changes: (member.changes.iter())
                .map(|drift| Change::of(drift, is_named))
                .collect(),
        }
    }
}

/// Everything that objects share whose changes differ in the old values and their causes only.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape<'a> {
    kind: Kind<'a>,
    changes: Vec<NewValue<'a>>,
}

/// A change without the old value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct NewValue<'a> {
    field: &'static str,
    desired: Option<&'a Value>,
    path: &'a str,
    derivation: Option<&'a str>,
}

impl<'a> Shape<'a> {
    /// The shape of the changes of an object that a match found.
    pub(super) fn of(member: &Member<'a>) -> Self {
        let change = |drift: &'a Drift| NewValue {
            field: pattern::field(drift.fact.field),
            desired: drift.desired.as_ref(),
            path: &drift.origin.path,
            derivation: drift.origin.derivation.as_deref(),
        };
        Shape {
            kind: Kind::of(member.object),
            changes: member.changes.iter().map(change).collect(),
        }
    }
}

impl<'a> Kind<'a> {
    /// The kind of an object.
    pub(super) fn of(object: &'a Object) -> Self {
        match object {
            Object::Link(_) => Kind::Link,
            Object::Sysctl(key) => match key.per_interface() {
                Some(parts) => Kind::Sysctl(parts.family, parts.table, parts.leaf),
                None => Kind::Single(object),
            },
            Object::File(_)
            | Object::Plugin(_)
            | Object::Wireguard(_)
            | Object::Nflog(_)
            | Object::LogGroup(_) => Kind::Single(object),
        }
    }
}

impl<'a> Change<'a> {
    fn of(drift: &'a Drift, is_named: bool) -> Self {
        Change {
            field: drift.fact.field,
            observed: drift.observed.as_ref(),
            desired: drift.desired.as_ref(),
            path: (!is_named).then_some(&drift.origin.path),
            derivation: drift.origin.derivation.as_deref(),
            changed: drift.cause.map(|cause| cause.changed),
        }
    }
}
