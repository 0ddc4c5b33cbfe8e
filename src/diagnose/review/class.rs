//! A change without the host and without the names of matched objects. Hosts whose changes have equal classes are
//! one group.

use std::collections::BTreeSet;
use std::sync::Arc;

use netkeel_core::fact::{Field, Object, Value};
use netkeel_plan::loss::LossKind;
use netkeel_plan::plan::groups::pattern;

/// The objects of a class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An object by its name.
    Named(Object),
    /// Interfaces that a match found.
    Links,
    /// A setting below `net` of interfaces that a match found.
    Sysctls {
        /// `ipv4` or `ipv6`.
        family: Arc<str>,
        /// `conf` or `neigh`.
        table: Arc<str>,
        /// The setting: `rp_filter`.
        leaf: Arc<str>,
    },
}

impl Subject {
    /// The subject of an object. `found` objects were found by a match.
    pub(super) fn of(object: &Object, found: bool) -> Self {
        match object {
            Object::Link(_) if found => Subject::Links,
            Object::Sysctl(key) if found => match key.per_interface() {
                Some(parts) => Subject::Sysctls {
                    family: parts.family.into(),
                    table: parts.table.into(),
                    leaf: parts.leaf.into(),
                },
                None => Subject::Named(object.clone()),
            },
            Object::File(_)
            | Object::Plugin(_)
            | Object::Wireguard(_)
            | Object::Sysctl(_)
            | Object::Link(_)
            | Object::Nflog(_)
            | Object::LogGroup(_) => Subject::Named(object.clone()),
        }
    }

    /// The object, if the class has only one.
    pub fn named(&self) -> Option<&Object> {
        match self {
            Subject::Named(object) => Some(object),
            Subject::Links | Subject::Sysctls { .. } => None,
        }
    }
}

/// A field of the objects of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldOf {
    /// The field of a named object.
    Exact(Field),
    /// The field of matched objects, whose routes and addresses are their own.
    Any(&'static str),
}

impl FieldOf {
    pub(super) fn of(field: Field, found: bool) -> Self {
        match found {
            true => FieldOf::Any(pattern::field(field)),
            false => FieldOf::Exact(field),
        }
    }
}

/// The state of a fact with the old document in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Before {
    /// It has this value.
    Value(Value),
    /// It does not exist.
    Absent,
    /// The snapshot does not have it, and the old document does not declare it.
    Unread,
    /// Different values: too many to be classes of their own.
    Various,
}

/// The state of a fact with the new document in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum After {
    /// It has this value.
    Value(Value),
    /// It is removed.
    Absent,
    /// The new document does not declare it. It keeps its value, and netkeel no longer corrects it.
    NoLongerDeclared,
    /// The new document does not declare it and has `prune: true`: it gets the value from before netkeel, if the
    /// host's ledger has one.
    GivenBack,
}

/// The change of a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldChange {
    /// The field.
    pub field: FieldOf,
    /// Its state with the old document.
    pub before: Before,
    /// Its state with the new document.
    pub after: After,
    /// The entry of a match that declares it: `link.pods.mtu`. `None` for a named object.
    pub entry: Option<Arc<str>>,
}

/// The changes of an object, and their risk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// The objects.
    pub subject: Subject,
    /// The changes of each object.
    pub changes: Vec<FieldChange>,
    /// A device is deleted, also to make another one in its place.
    pub destroys: bool,
    /// The kinds of state that the undo of the writes does not restore.
    pub losses: BTreeSet<LossKind>,
}

impl Class {
    /// Whether the undo of a write does not restore everything.
    pub fn loses(&self) -> bool {
        !self.losses.is_empty()
    }

    /// The class with old values that may differ.
    pub(super) fn without_before(&self) -> Self {
        let mut shape = self.clone();
        for change in &mut shape.changes {
            change.before = Before::Various;
        }
        shape
    }
}
