//! The lines of a journal that add steps, as they are read and as they are written.
//!
//! What a match does to a thousand interfaces differs in their names alone, and stands there once with
//! all the names: a journal is a tenth as long then, and takes a tenth of the time to write.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::fact::{Fact, Field, Object, Value};
use crate::ledger::Claim;
use crate::link_name::LinkName;
use crate::netns::Netns;
use crate::op::{Op, Target};
use crate::plan::{Drift, Plan, Step, Undo};
use crate::sysctl_key::{Slot, SysctlKey};

/// A line that adds steps, as it is read. Formats 1 and 2 had them one by one in `steps`.
#[derive(Debug, Deserialize)]
pub(super) struct Steps {
    #[serde(default)]
    pub(super) steps: Vec<Entry>,
    #[serde(default)]
    pub(super) runs: Vec<Run>,
    #[serde(default)]
    pub(super) released: Vec<Fact>,
    #[serde(default)]
    pub(super) beside: Vec<Claim>,
}

/// Steps in their order: those that are alike, then others.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    alike: Option<Alike<Netns, Value, Vec<Link>>>,
    #[serde(default)]
    steps: Vec<Entry>,
}

/// Steps that write one field of interfaces, each undone by writing it again, that differ in nothing
/// but the interface.
#[derive(Debug, Serialize, Deserialize)]
struct Alike<N, V, L> {
    netns: N,
    field: Field,
    wrote: V,
    back: V,
    found: Option<V>,
    desired: Option<V>,
    links: L,
}

/// The index and the name of an interface.
type Link = (u32, LinkName);

impl Run {
    /// The steps one by one; none where they do not make sense.
    pub(super) fn into_entries(self) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        if let Some(alike) = self.alike {
            for (index, name) in &alike.links {
                let target = Target {
                    netns: alike.netns.clone(),
                    index: *index,
                    name: *name,
                };
                entries.push(Entry {
                    op: op(&target, alike.field, &alike.wrote)?,
                    undo: Undo {
                        ops: vec![op(&target, alike.field, &alike.back)?],
                        loses: Vec::new(),
                    },
                    fact: Fact::link(&alike.netns, *name, alike.field),
                    found: alike.found.clone(),
                    desired: alike.desired.clone(),
                });
            }
        }
        entries.extend(self.steps);
        Some(entries)
    }
}

/// The op that writes a field of an interface, of those that are put down together.
fn op(target: &Target, field: Field, value: &Value) -> Option<Op> {
    let target = target.clone();
    Some(match (field, value) {
        (Field::Mtu, Value::Number(mtu)) => Op::SetMtu {
            target,
            mtu: u32::try_from(*mtu).ok()?,
        },
        (_, Value::Text(value)) => Op::WriteSysctl {
            netns: target.netns.clone(),
            key: field.sysctl_of(target.name)?,
            value: value.clone(),
            link: Some(target),
        },
        _ => return None,
    })
}

/// A line that adds steps, on its way to the journal: it reads back as [`Entry`] steps. It borrows
/// from the plan, which can be of ten thousand interfaces.
#[derive(Debug, Serialize)]
pub struct StepsLine<'a> {
    runs: Vec<NewRun<'a>>,
    #[serde(skip_serializing_if = "<[Fact]>::is_empty")]
    released: &'a [Fact],
    #[serde(skip_serializing_if = "<[Claim]>::is_empty")]
    beside: &'a [Claim],
}

/// A [`Run`] on its way to the journal.
#[derive(Debug, Default, Serialize)]
struct NewRun<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alike: Option<Alike<&'a Netns, Value, Vec<Link>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Planned<'a>>,
}

/// An [`Entry`] on its way to the journal.
#[derive(Debug, Serialize)]
struct Planned<'a> {
    op: &'a Op,
    undo: &'a Undo,
    fact: &'a Fact,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    desired: Option<&'a Value>,
}

impl<'a> StepsLine<'a> {
    /// The steps of a plan that are about files, or that are not. The facts that are released and
    /// those that change beside stand with those that are not.
    pub fn new(plan: &'a Plan, durable: bool) -> Self {
        let mut runs: Vec<NewRun<'a>> = Vec::new();
        let drifts: BTreeMap<&Fact, &Drift> = plan.drift.iter().map(|drift| (&drift.fact, drift)).collect();
        for step in plan.steps.iter().filter(|step| step.op.is_durable() == durable) {
            add(&mut runs, step, drifts.get(&step.fact).copied());
        }
        StepsLine {
            runs,
            released: if durable { &[] } else { &plan.released },
            beside: if durable { &[] } else { &plan.beside },
        }
    }

    /// It adds no step.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

fn add<'a>(runs: &mut Vec<NewRun<'a>>, step: &'a Step, drift: Option<&'a Drift>) {
    let found = drift.and_then(|drift| drift.observed.as_ref());
    let desired = drift.and_then(|drift| drift.desired.as_ref());
    let Some((link, wrote, back)) = field_of_link(step) else {
        let planned = Planned {
            op: &step.op,
            undo: &step.undo,
            fact: &step.fact,
            found,
            desired,
        };
        match runs.last_mut() {
            Some(run) => run.steps.push(planned),
            None => runs.push(NewRun {
                alike: None,
                steps: vec![planned],
            }),
        }
        return;
    };
    let same = |alike: &Alike<&'a Netns, Value, Vec<Link>>| {
        *alike.netns == step.fact.netns
            && alike.field == step.fact.field
            && wrote.is(&alike.wrote)
            && back.is(&alike.back)
            && alike.found.as_ref() == found
            && alike.desired.as_ref() == desired
    };
    let last = runs.last_mut().filter(|run| run.steps.is_empty());
    match last
        .and_then(|run| run.alike.as_mut())
        .filter(|alike| same(alike))
    {
        Some(alike) => alike.links.push(link),
        None => {
            let alike = Alike {
                netns: &step.fact.netns,
                field: step.fact.field,
                wrote: wrote.value(),
                back: back.value(),
                found: found.cloned(),
                desired: desired.cloned(),
                links: vec![link],
            };
            runs.push(NewRun {
                alike: Some(alike),
                steps: Vec::new(),
            });
        }
    }
}

/// What an op writes, where it is one of those that are put down together.
#[derive(Clone, Copy)]
enum Written<'a> {
    Number(u32),
    Text(&'a Arc<str>),
}

impl Written<'_> {
    fn is(self, value: &Value) -> bool {
        match (self, value) {
            (Written::Number(one), Value::Number(other)) => i64::from(one) == *other,
            (Written::Text(one), Value::Text(other)) => one == other,
            _ => false,
        }
    }

    fn value(self) -> Value {
        match self {
            Written::Number(number) => Value::Number(number.into()),
            Written::Text(text) => Value::Text(text.clone()),
        }
    }
}

/// The interface of a step that [`op`] makes again, what it writes, and what its undo does.
fn field_of_link(step: &Step) -> Option<(Link, Written<'_>, Written<'_>)> {
    let Object::Link(name) = step.fact.object else {
        return None;
    };
    let field = step.fact.field;
    let [back] = step.undo.ops.as_slice() else {
        return None;
    };
    let (target, other, wrote, back) = match (&step.op, back) {
        (
            Op::SetMtu { target, mtu },
            Op::SetMtu {
                target: other,
                mtu: back,
            },
        ) if field == Field::Mtu => (target, other, Written::Number(*mtu), Written::Number(*back)),
        (
            Op::WriteSysctl {
                netns,
                key,
                value,
                link: Some(target),
            },
            Op::WriteSysctl {
                netns: other_netns,
                key: other_key,
                value: back,
                link: Some(other),
            },
        ) if key == other_key
            && netns == other_netns
            && *netns == target.netns
            && is_of(key, name, field) =>
        {
            (target, other, Written::Text(value), Written::Text(back))
        }
        _ => return None,
    };
    let plain = target == other && target.name == name && target.netns == step.fact.netns;
    (plain && step.undo.loses.is_empty()).then_some(((target.index, name), wrote, back))
}

/// It is the key that [`Field::sysctl_of`] makes.
fn is_of(key: &SysctlKey, name: LinkName, field: Field) -> bool {
    key.per_interface().is_some_and(|parts| {
        parts.table == "conf"
            && parts.slot == Slot::Link(name)
            && Field::of_sysctl(parts.family, parts.leaf) == Some(field)
    })
}
