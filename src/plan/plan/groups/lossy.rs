//! The steps of a plan that lose state, in groups of the same loss.

use std::collections::BTreeMap;
use std::mem::discriminant;

use crate::loss::Loss;
use crate::plan::{Plan, Step};
use netkeel_core::fact::Object;

/// Fewer steps than this are not put together.
const MANY: usize = 4;

/// Steps with the same kind of op and the same kinds of losses.
#[derive(Clone, Debug)]
pub struct LossyGroup<'a> {
    /// The first step, as an example of all.
    pub first: &'a Step,
    /// The other steps, in the order of execution.
    pub others: Vec<&'a Step>,
}

impl<'a> LossyGroup<'a> {
    /// The number of steps.
    pub fn size(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether the group has one step only.
    pub fn is_single(&self) -> bool {
        self.others.is_empty()
    }

    /// The objects of the steps, in the order of execution.
    pub fn objects(&self) -> impl Iterator<Item = &'a Object> {
        let steps = std::iter::once(self.first).chain(self.others.iter().copied());
        steps.map(|step| &step.fact.object)
    }
}

impl Plan {
    /// The steps that lose state, in groups: destructive ones first, each by itself, then steps for named
    /// objects, then the others by number.
    pub fn lossy_groups(&self) -> Vec<LossyGroup<'_>> {
        let mut groups: Vec<LossyGroup<'_>> = Vec::new();
        let mut known: BTreeMap<_, usize> = BTreeMap::new();
        let mut kinds = Vec::new();
        for step in self.steps.iter().filter(|step| !step.undo.loses.is_empty()) {
            let key = (!step.is_destructive() && !step.named).then(|| {
                let losses: Vec<_> = step.undo.loses.iter().map(discriminant::<Loss>).collect();
                let key = (discriminant(&step.op), discriminant(&step.fact.field), losses);
                position(&mut kinds, key)
            });
            let place = key.map(|key| *known.entry((key, step.permitted)).or_insert(groups.len()));
            match place.and_then(|place| groups.get_mut(place)) {
                Some(group) => group.others.push(step),
                None => groups.push(LossyGroup {
                    first: step,
                    others: Vec::new(),
                }),
            }
        }
        let mut few = Vec::new();
        groups.retain_mut(|group| {
            let is_few = group.size() < MANY;
            if is_few {
                few.push(group.first);
                few.append(&mut group.others);
            }
            !is_few
        });
        let single = |first| LossyGroup {
            first,
            others: Vec::new(),
        };
        let mut all: Vec<LossyGroup<'_>> = few.into_iter().map(single).collect();
        all.sort_by_key(|group| (!group.first.is_destructive(), !group.first.named));
        groups.sort_by_key(|group| usize::MAX - group.size());
        all.extend(groups);
        all
    }
}

/// The place of a value in a list, to which it is added if it is new.
fn position<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    match list.iter().position(|known| *known == value) {
        Some(place) => place,
        None => {
            list.push(value);
            list.len() - 1
        }
    }
}
