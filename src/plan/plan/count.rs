//! The numbers that a person decides by: the facts that a plan creates, changes and destroys.

use std::collections::BTreeSet;

use crate::plan::{Drift, Plan, Step};
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::op::Op;

/// The effect of a plan on a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The fact does not exist.
    Create,
    /// The fact has another value.
    Change,
    /// The fact is removed.
    Destroy,
}

impl Action {
    /// The sign of a changed line in a diff.
    pub fn sign(self) -> char {
        match self {
            Action::Create => '+',
            Action::Change => '~',
            Action::Destroy => '-',
        }
    }
}

/// The number of facts by what a plan does to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Facts that do not exist.
    pub create: usize,
    /// Facts with another value.
    pub change: usize,
    /// Facts that are removed.
    pub destroy: usize,
    /// The objects of all these facts.
    pub objects: usize,
}

impl Drift {
    /// The effect of the plan on this fact, without regard to a device that it recreates.
    pub fn action(&self) -> Action {
        let is_off = |value: &Value| match value {
            // A device that is down exists.
            Value::Switch(on) => !on && self.fact.field != Field::Up,
            other => other.is_no_rules(),
        };
        match (&self.observed, &self.desired) {
            // An attribute of a route, which exists and stays.
            _ if matches!(self.fact.field, Field::RouteMetric(..)) => Action::Change,
            (_, None) => Action::Destroy,
            (_, Some(value)) if is_off(value) => Action::Destroy,
            (None, Some(_)) => Action::Create,
            (Some(value), Some(_)) if is_off(value) => Action::Create,
            (Some(_), Some(_)) => Action::Change,
        }
    }
}

impl Step {
    /// Whether the step deletes a device, also to make another one in its place.
    pub fn is_destructive(&self) -> bool {
        matches!(self.op, Op::RecreateTunnel { .. } | Op::DeleteLink { .. })
    }
}

impl Plan {
    /// The number of facts to create, to change and to destroy. A device that is deleted and made again
    /// counts twice.
    pub fn counts(&self) -> Counts {
        let recreated = self
            .steps
            .iter()
            .filter(|step| matches!(step.op, Op::RecreateTunnel { .. }));
        let recreated: BTreeSet<&Fact> = recreated.map(|step| &step.fact).collect();
        let objects: BTreeSet<&Object> = self.drift.iter().map(|drift| &drift.fact.object).collect();
        let mut counts = Counts {
            objects: objects.len(),
            ..Counts::default()
        };
        for drift in &self.drift {
            match drift.action() {
                Action::Change if recreated.contains(&drift.fact) => {
                    counts.create += 1;
                    counts.destroy += 1;
                }
                Action::Create => counts.create += 1,
                Action::Change => counts.change += 1,
                Action::Destroy => counts.destroy += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use netkeel_core::name::netns::Netns;
    use netkeel_core::name::route::{Metric, RouteKey};

    #[test]
    fn a_fact_is_created_changed_or_destroyed() {
        let action = |field, observed, desired| {
            let drift = Drift {
                fact: Fact::link(&Netns::CURRENT, "eth0".parse().unwrap(), field),
                observed,
                desired,
                origin: Arc::default(),
                cause: None,
            };
            drift.action()
        };
        let (on, off) = (Some(Value::Switch(true)), Some(Value::Switch(false)));
        let address = Field::Address("192.0.2.1/32".parse().unwrap());
        assert_eq!(action(address, off.clone(), on.clone()), Action::Create);
        assert_eq!(action(address, on.clone(), off.clone()), Action::Destroy);
        assert_eq!(action(address, on.clone(), None), Action::Destroy);
        assert_eq!(action(Field::Up, off.clone(), on.clone()), Action::Change);
        assert_eq!(action(Field::Up, on, off), Action::Change);
        let number = |number| Some(Value::Number(number));
        assert_eq!(action(Field::Mtu, number(1), number(2)), Action::Change);
        assert_eq!(action(Field::Mtu, None, number(2)), Action::Create);
        // A route is there with and without its attribute.
        let mtu = Field::RouteMetric(RouteKey::new("0.0.0.0/0".parse().unwrap()), Metric::Mtu);
        assert_eq!(action(mtu, None, number(2)), Action::Change);
        assert_eq!(action(mtu, number(2), None), Action::Change);
    }
}
