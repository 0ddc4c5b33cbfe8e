//! From a document and a snapshot to ordered ops, each with its reason and its undo. Applying a
//! plan leaves no choice to make.

mod effects;
mod order;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::error::Diagnostics;
use crate::fact::{Fact, Field, Object, Value};
use crate::finding::{Finding, Findings};
use crate::link_name::LinkName;
use crate::netns::Netns;
use crate::op::{Op, Phase, Target};
use crate::snapshot::{Change, Model, Observed, Problem, Snapshot};
use crate::source::Span;
use crate::sysctl_key::SysctlKey;
use crate::tunnel_mode::TunnelMode;
use crate::want::Want;
use order::Key;

/// The version of the plan's format.
pub const FORMAT: u32 = 1;

/// What is to be done, and what was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The owner of the document.
    pub owner: String,
    /// The namespace.
    pub netns: Netns,
    /// How many facts the document wants.
    pub wanted: usize,
    /// The facts that differ, in order.
    pub drift: Vec<Drift>,
    /// The ops, in the order in which they are done.
    pub steps: Vec<Step>,
    /// What should be known.
    pub findings: Vec<Finding>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// A fact that is not as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The fact.
    pub fact: Fact,
    /// What it is; none when it is absent.
    pub observed: Option<Value>,
    /// What it should be.
    pub desired: Value,
    /// The place in the document.
    pub span: Span,
    /// The path in the document.
    pub path: Arc<str>,
}

/// One op of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The op.
    pub op: Op,
    /// When it is done.
    pub phase: Phase,
    /// The wanted fact it is for.
    pub fact: Fact,
    /// The op is there because an op before it changes a fact that is right now.
    pub restores: bool,
    /// The interface is named in the document: an op on one that is gone fails. One that was
    /// matched may have gone meanwhile.
    pub named: bool,
    /// How to undo it.
    pub undo: Undo,
    /// The document permits what is lost.
    pub permitted: bool,
}

/// How to undo an op: exactly when `loses` is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The ops, in the order in which they are to be done.
    pub ops: Vec<Op>,
    /// What they do not bring back, each a sentence part.
    pub loses: Vec<String>,
}

impl Plan {
    /// Every wanted fact is as it is wanted.
    pub fn in_sync(&self) -> bool {
        self.drift.is_empty() && self.steps.is_empty()
    }

    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps that lose something which the document does not permit.
    pub fn lossy(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| !step.undo.loses.is_empty() && !step.permitted)
    }
}

/// Plans.
///
/// # Errors
/// Everything that is wrong between the document and the host: conflicts, values that a device
/// cannot take, tunnels that cannot be.
pub fn plan(document: &Document, host: &Snapshot) -> Result<Plan, Box<Diagnostics>> {
    let wants = document.wants(host);
    if !wants.diagnostics.is_empty() {
        return Err(Box::new(wants.diagnostics));
    }
    let mut problems = host.problems.clone();
    let mut drift = Vec::new();
    for (fact, want) in &wants.facts {
        let observed = match host.get(fact) {
            Observed::Value(value) if value == want.value => continue,
            Observed::Value(value) => Some(value),
            Observed::Absent => None,
            Observed::Unread => {
                let why = "the snapshot does not hold it".to_owned();
                problems.push(Problem {
                    what: fact.to_string(),
                    why,
                });
                continue;
            }
        };
        if exists_or_comes(fact, host, &wants.facts) {
            let (span, path) = (want.span, want.path.clone());
            drift.push(Drift {
                fact: fact.clone(),
                observed,
                desired: want.value.clone(),
                span,
                path,
            });
        }
    }
    let mut findings = wants.findings;
    let (steps, after) = if drift.is_empty() {
        (Vec::new(), None)
    } else {
        let mut planner = Planner::new(&wants.facts, host);
        planner.run(&drift, &mut findings);
        (planner.steps, Some(planner.model.host))
    };
    effects::judge(after.as_ref().unwrap_or(host), &wants.facts, &mut findings);
    problems.sort();
    problems.dedup();
    Ok(Plan {
        owner: document.owner.clone(),
        netns: document.netns.clone(),
        wanted: wants.facts.len(),
        drift,
        steps,
        findings: findings.into_sorted(),
        problems,
    })
}

/// An interface that is not there and that the document does not make waits until it appears.
fn exists_or_comes(fact: &Fact, host: &Snapshot, wants: &BTreeMap<Fact, Want>) -> bool {
    match fact.link_name() {
        Some(name) => {
            host.links.contains_key(&name) || wants.contains_key(&Fact::link(&fact.netns, name, Field::Kind))
        }
        None => true,
    }
}

/// Orders ops and follows what each of them changes.
struct Planner<'a> {
    wants: &'a BTreeMap<Fact, Want>,
    model: Model,
    order: order::Order,
    /// The ops still to be placed.
    queue: BTreeMap<Key, (Fact, Op, bool)>,
    /// Devices that this plan makes: udev may rewrite their sysctls, so what is wanted of them is
    /// written whatever the model says.
    made: BTreeSet<LinkName>,
    /// Facts that were put right once after a side effect: two wants that the kernel ties
    /// together must not chase each other for ever.
    put_right: BTreeSet<Fact>,
    steps: Vec<Step>,
}

impl<'a> Planner<'a> {
    fn new(wants: &'a BTreeMap<Fact, Want>, host: &Snapshot) -> Self {
        Planner {
            wants,
            model: Model::new(host.clone()),
            order: order::Order::new(host),
            queue: BTreeMap::new(),
            made: BTreeSet::new(),
            put_right: BTreeSet::new(),
            steps: Vec::new(),
        }
    }

    fn run(&mut self, drift: &[Drift], findings: &mut Findings) {
        // Files and devices first: what is still to do on a new device shows once it is there.
        for drift in drift
            .iter()
            .filter(|drift| matches!(drift.fact.field, Field::Kind | Field::Content))
        {
            if let (Field::Kind, Some(name)) = (drift.fact.field, drift.fact.link_name()) {
                self.made.insert(name);
            }
            self.push(&drift.fact, &drift.desired, false);
        }
        self.drain(findings);
        for drift in drift {
            self.push_unless_right(&drift.fact, &drift.desired, false);
        }
        for (fact, want) in self.wants {
            if fact.link_name().is_some_and(|name| self.made.contains(&name))
                && !matches!(fact.field, Field::Kind)
            {
                self.push_unless_right(fact, &want.value, false);
            }
        }
        self.drain(findings);
    }

    fn push_unless_right(&mut self, fact: &Fact, value: &Value, restores: bool) {
        let right = self.model.host.get(fact) == Observed::Value(value.clone());
        let is_sysctl = matches!(fact.object, Object::Sysctl(_))
            || matches!(fact.field, Field::RpFilter | Field::Forwarding);
        let udev_may_write = is_sysctl && fact.link_name().is_some_and(|name| self.made.contains(&name));
        if !right || udev_may_write {
            self.push(fact, value, restores);
        }
    }

    fn push(&mut self, fact: &Fact, value: &Value, restores: bool) {
        if let Some(op) = write(fact, Some(value), &self.model.host) {
            let key = self.order.key(&op, fact, &self.model.host);
            self.queue.insert(key, (fact.clone(), op, restores));
        }
    }

    /// Places the ops that are queued, and those that become necessary by what they change.
    fn drain(&mut self, findings: &mut Findings) {
        while let Some((key, (fact, op, restores))) = self.queue.pop_first() {
            let changes = self.model.apply(&op);
            let undo = undo::undo(&mut self.model, &op, &changes);
            effects::told(&op, &changes, self.wants, findings);
            let want = self.wants.get(&fact);
            self.steps.push(Step {
                op,
                phase: key.phase,
                restores,
                named: want.is_none_or(|want| want.named),
                permitted: want.is_some_and(|want| want.permits_ipv6_loss),
                undo,
                fact,
            });
            self.put_right(changes);
        }
    }

    /// A fact that an op changed beside its own and that is wanted otherwise gets an op too.
    fn put_right(&mut self, changes: Vec<Change>) {
        for change in changes {
            let Some(want) = self.wants.get(&change.fact) else {
                continue;
            };
            let wrong = change.to.as_ref() != Some(&want.value);
            if wrong
                && !self.queue.values().any(|(fact, ..)| *fact == change.fact)
                && self.put_right.insert(change.fact.clone())
            {
                let restores = change.from.as_ref() == Some(&want.value);
                self.push(&change.fact, &want.value, restores);
            }
        }
    }
}

/// The op that gives a fact a value, or that takes the fact away.
pub(crate) fn write(fact: &Fact, value: Option<&Value>, host: &Snapshot) -> Option<Op> {
    let name = match &fact.object {
        Object::File(path) => {
            return Some(match value {
                Some(value) => Op::WriteFile {
                    path: path.clone(),
                    content: value.to_string().into(),
                    mode: crate::persist::MODE,
                },
                None => Op::RemoveFile { path: path.clone() },
            });
        }
        Object::Sysctl(key) => {
            let link = key.link().map(|name| target(fact, name, host));
            return Some(write_sysctl(fact, key.clone(), value?, link));
        }
        Object::Link(name) => *name,
    };
    let target = target(fact, name, host);
    if let Some(key) = fact.field.sysctl_of(name) {
        return Some(write_sysctl(fact, key, value?, Some(target)));
    }
    Some(match (fact.field, value) {
        (Field::Kind, Some(Value::Text(kind))) => {
            let mode = TunnelMode::from_word(kind.strip_suffix(" external")?)?;
            if host.links.contains_key(&name) {
                Op::RecreateTunnel { target, mode }
            } else {
                Op::CreateTunnel { target, mode }
            }
        }
        (Field::Kind, None) => Op::DeleteLink { target },
        (Field::Address(address), Some(Value::Switch(true))) => Op::AddAddress { target, address },
        (Field::Address(address), _) => Op::RemoveAddress { target, address },
        (Field::Mtu, Some(Value::Number(mtu))) => Op::SetMtu {
            target,
            mtu: u32::try_from(*mtu).ok()?,
        },
        (Field::Up, Some(Value::Switch(up))) => Op::SetUp { target, up: *up },
        (Field::TxQueueLength, Some(Value::Number(packets))) => Op::SetTxQueueLength {
            target,
            packets: u32::try_from(*packets).ok()?,
        },
        (Field::Alias, Some(Value::Text(alias))) => Op::SetAlias {
            target,
            alias: alias.clone(),
        },
        _ => return None,
    })
}

fn target(fact: &Fact, name: LinkName, host: &Snapshot) -> Target {
    let index = host.links.get(&name).map_or(0, |link| link.index);
    Target {
        netns: fact.netns.clone(),
        index,
        name,
    }
}

fn write_sysctl(fact: &Fact, key: SysctlKey, value: &Value, link: Option<Target>) -> Op {
    Op::WriteSysctl {
        netns: fact.netns.clone(),
        key,
        value: value.to_string().into(),
        link,
    }
}
