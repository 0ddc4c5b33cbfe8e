//! Which rules a path MTU message comes to. A rule before them, in its chain or in a chain that the kernel calls
//! earlier, may end its way.

use crate::nftables::conditions::Conditions;
use crate::nftables::expression::{End, Expression};
use crate::nftables::ruleset::{Chain, Rule};
use netkeel_core::nflog::foreign::{ForeignRule, Interfaces};

/// A chain that the kernel calls for each packet that arrives.
pub(crate) struct Base {
    priority: i32,
    /// It is of the type nat: it sees the first packet of a connection, and a path MTU message is none.
    is_nat: bool,
    pub steps: Vec<Step>,
}

/// A rule.
pub(crate) struct Step {
    pub conditions: Conditions,
    /// What it ends for a packet that has these conditions, at most.
    pub end: Option<End>,
    /// It hands path MTU messages to a group.
    pub logs: Option<ForeignRule>,
}

impl Base {
    pub(crate) fn new(priority: i32, is_nat: bool) -> Self {
        let steps = Vec::new();
        Base {
            priority,
            is_nat,
            steps,
        }
    }

    /// What comes to the end of the chain is dropped, or nobody knows what becomes of it.
    pub(crate) fn drops(&mut self, family: Option<u8>) {
        let conditions = Conditions {
            family,
            ..Conditions::default()
        };
        self.steps.push(Step {
            conditions,
            end: Some(End::Packet),
            logs: None,
        });
    }
}

/// What the expressions of a rule end, at most.
pub(crate) fn end(expressions: &[Expression]) -> Option<End> {
    expressions.iter().filter_map(Expression::end).max()
}

/// The rules that hand path MTU messages to a group. One is whole only where all of its messages come to it.
pub(crate) fn rules(bases: &[Base]) -> Vec<ForeignRule> {
    let mut rules = Vec::new();
    for (at, base) in bases.iter().enumerate() {
        for (number, step) in base.steps.iter().enumerate() {
            let Some(rule) = &step.logs else { continue };
            let before = base.steps.get(..number).unwrap_or_default();
            let in_chain = before.iter().any(|step| step.end.is_some() && step.meets(rule));
            let elsewhere = bases.iter().enumerate().any(|(other, earlier)| {
                // Which of two chains of one priority comes first is not to be seen.
                other != at && !earlier.is_nat && earlier.priority <= base.priority && earlier.ends(rule)
            });
            rules.push(ForeignRule {
                whole: rule.whole && !base.is_nat && !in_chain && !elsewhere,
                ..rule.clone()
            });
        }
    }
    rules
}

/// No rule of others in netkeel's chain may end the way of a message before a rule of netkeel that would log it.
pub(crate) fn is_free(chain: &Chain) -> bool {
    let conditions = |rule: &Rule| Conditions::of(&rule.expressions, None);
    chain.rules.iter().enumerate().all(|(number, rule)| {
        let mut before = chain.rules.iter().take(number).filter(|other| !other.is_ours());
        let own = conditions(rule);
        !rule.is_ours()
            || before.all(|other| {
                let other_conditions = conditions(other);
                let both = |ipv6: bool| own.takes(ipv6) && other_conditions.takes(ipv6);
                end(&other.expressions).is_none()
                    || !(both(false) || both(true))
                    || are_apart(&own.interfaces(), &other_conditions.interfaces())
            })
    })
}

impl Base {
    /// A rule of the chain may end the way of a packet that the rule would log.
    fn ends(&self, rule: &ForeignRule) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.end == Some(End::Packet) && step.meets(rule))
    }
}

impl Step {
    /// There are path MTU messages that have the conditions of both.
    fn meets(&self, rule: &ForeignRule) -> bool {
        let of_family = rule.ipv4 && self.conditions.takes(false) || rule.ipv6 && self.conditions.takes(true);
        of_family && !are_apart(&self.conditions.interfaces(), &rule.interfaces)
    }
}

/// No interface is among both.
fn are_apart(one: &Interfaces, other: &Interfaces) -> bool {
    match (one, other) {
        (Interfaces::Named(name), interfaces) | (interfaces, Interfaces::Named(name)) => {
            !interfaces.cover(*name)
        }
        (Interfaces::Prefix(one), Interfaces::Prefix(other)) => {
            !one.starts_with(&**other) && !other.starts_with(&**one)
        }
        _ => false,
    }
}
