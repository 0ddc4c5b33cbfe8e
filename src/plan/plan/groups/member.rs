//! An object of a group.

use crate::plan::Drift;
use crate::plan::count::Action;
use netkeel_core::fact::{Field, Object};

/// An object with its changes.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The object.
    pub object: &'a Object,
    /// Its changes, in the order of the fields; at least one.
    pub changes: &'a [Drift],
}

impl Member<'_> {
    /// A match of the document found the object.
    pub fn is_found(&self) -> bool {
        let is_declared = self.changes.iter().any(|drift| !drift.origin.path.is_empty());
        is_declared && !self.is_named()
    }

    /// The document names the object.
    pub fn is_named(&self) -> bool {
        self.changes.iter().any(|drift| drift.origin.named)
    }

    /// The effect of the plan on the object.
    pub fn action(&self) -> Action {
        let is_existence = |drift: &&Drift| match (&self.object, drift.fact.field) {
            (Object::Link(_), Field::Kind)
            | (Object::File(_), Field::Content)
            | (Object::Wireguard(_), Field::Mtu)
            | (Object::Nflog(_) | Object::LogGroup(_), Field::Rules) => true,
            (
                Object::File(_)
                | Object::Plugin(_)
                | Object::Wireguard(_)
                | Object::Sysctl(_)
                | Object::Link(_)
                | Object::Nflog(_)
                | Object::LogGroup(_),
                _,
            ) => false,
        };
        let existence = self.changes.iter().find(is_existence);
        existence.map_or(Action::Change, Drift::action)
    }
}

impl<'a> Member<'a> {
    /// The change of the same field.
    pub(super) fn changes_of(&self, drift: &Drift) -> Option<&'a Drift> {
        let mut changes = self.changes.iter();
        changes.find(|change| change.fact.field == drift.fact.field)
    }

    /// Whether one rule of the document changes both objects.
    pub(super) fn shares_a_rule(&self, other: &Member<'_>) -> bool {
        let rules = |drift: &Drift, other: &Drift| {
            let (rule, with) = (&drift.origin.path, &other.origin.path);
            !rule.is_empty() && rule == with
        };
        let mut changes = self.changes.iter();
        changes.any(|drift| other.changes.iter().any(|other| rules(drift, other)))
    }
}
