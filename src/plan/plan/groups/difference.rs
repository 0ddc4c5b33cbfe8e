//! The difference of an outlier to the group that the same rules of the document apply to.

use crate::plan::Drift;
use crate::plan::groups::Member;
use crate::plan::groups::key::Kind;

/// The difference of an object to the objects of a larger group.
#[derive(Clone, Debug, Default)]
pub struct Difference<'a> {
    /// Changes of fields that the objects of the group change from or to another value, each with the change of
    /// the group.
    pub other_values: Vec<(&'a Drift, &'a Drift)>,
    /// Changes of fields that the objects of the group do not change.
    pub added: Vec<&'a Drift>,
    /// Changes of the group to fields that the object does not change.
    pub missing: Vec<&'a Drift>,
}

impl<'a> Difference<'a> {
    /// The difference of an object to an object of the group.
    pub(super) fn between(outlier: &Member<'a>, of_group: &Member<'a>) -> Self {
        let mut difference = Difference::default();
        for drift in outlier.changes {
            match of_group.changes_of(drift) {
                None => difference.added.push(drift),
                Some(usual) if (&usual.observed, &usual.desired) != (&drift.observed, &drift.desired) => {
                    difference.other_values.push((drift, usual));
                }
                Some(_) => {}
            }
        }
        let missing = |drift: &&Drift| outlier.changes_of(drift).is_none();
        difference.missing = of_group.changes.iter().filter(missing).collect();
        difference
    }
}

impl<'a> Member<'a> {
    /// The change of the same field.
    fn changes_of(&self, drift: &Drift) -> Option<&'a Drift> {
        let mut changes = self.changes.iter();
        changes.find(|change| change.fact.field == drift.fact.field)
    }

    /// Whether one rule of the document changes both objects, which are of one kind.
    pub(super) fn shares_a_rule(&self, other: &Member<'_>) -> bool {
        let rules = |drift: &Drift, other: &Drift| {
            let (rule, with) = (&drift.origin.path, &other.origin.path);
            !rule.is_empty() && rule == with
        };
        let mut changes = self.changes.iter();
        Kind::of(self.object) == Kind::of(other.object)
            && changes.any(|drift| other.changes.iter().any(|other| rules(drift, other)))
    }
}
