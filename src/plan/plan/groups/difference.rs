//! The difference of an outlier to the group that the same rules of the document apply to.

use crate::plan::Drift;
use crate::plan::groups::member::Member;

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
