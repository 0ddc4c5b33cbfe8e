//! From a document and a snapshot to ordered ops, each with its reason and its undo. Applying a
//! plan leaves no choice to make.

mod felt;
mod goal;
mod holdings;
mod kept;
mod loss;
mod order;
mod originals;
mod planner;
mod queue;
mod routes;
mod undo;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use felt::Felt;
pub use goal::{Declared, Goal, Planned, Release, ReleaseFacts};
pub use holdings::Holdings;
pub use kept::{Extent, Kept, Seen};
pub use loss::Loss;

use crate::document::Document;
use crate::error::Diagnostics;
use crate::fact::{Fact, Field, Object, Value};
use crate::finding::{Finding, Findings};
use crate::ledger::Claim;
use crate::netns::Netns;
use crate::op::{Op, Phase};
use crate::snapshot::{Change, Observed, Problem, Snapshot};
use crate::want::{Origin, Want, Wants};
use planner::Planner;

/// The version of the plan's format.
pub const FORMAT: u32 = 1;

/// What is to be done, and what was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The owner of the document.
    pub owner: String,
    /// The namespace.
    pub netns: Netns,
    /// How many facts the document wants, less those of interfaces that are not there.
    pub wanted: usize,
    /// The facts that differ, in order.
    pub drift: Vec<Drift>,
    /// The ops, in the order in which they are done.
    pub steps: Vec<Step>,
    /// Facts that nobody wants and that the kernel changes with those that are written: they are
    /// given back with them.
    pub beside: Vec<Claim>,
    /// Facts that the owner holds no longer when this is done.
    pub released: Vec<Fact>,
    /// What should be known.
    pub findings: Vec<Finding>,
    /// Matches of the document that meet no interface, each by its path.
    pub unmatched: Vec<Arc<str>>,
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
    /// What it should be; none when it is to go.
    pub desired: Option<Value>,
    /// The line of the document that wants it; one without a path where none does.
    pub origin: Arc<Origin>,
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
    /// All facts that the op changes, its own first.
    pub changes: Vec<Change>,
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
    /// What they do not bring back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loses: Vec<Loss>,
}

impl Step {
    /// Doing it twice is doing it once, and undoing what was not done changes nothing: one setting of
    /// an interface, which its undo alone gives back.
    pub fn is_plain(&self) -> bool {
        matches!(self.fact.field, Field::Mtu | Field::RpFilter)
            && matches!(self.op, Op::SetMtu { .. } | Op::WriteSysctl { link: Some(_), .. })
            && self.undo.ops.len() == 1
            && self.undo.loses.is_empty()
    }
}

impl Plan {
    /// Every wanted fact is known, and is as it is wanted.
    pub fn in_sync(&self) -> bool {
        self.drift.is_empty() && self.steps.is_empty() && self.problems.is_empty()
    }

    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.released.is_empty()
    }

    /// What the owner holds once it is done.
    pub fn claims(&self) -> impl Iterator<Item = Claim> {
        let kept = |drift: &&Drift| self.released.binary_search(&drift.fact).is_err();
        let claims = self.drift.iter().filter(kept).map(|drift| Claim {
            fact: drift.fact.clone(),
            owner: self.owner.clone(),
            found: drift.observed.clone(),
            wrote: drift.desired.clone(),
            caused_by: None,
        });
        claims.chain(self.beside.iter().cloned())
    }

    /// The steps that lose something which the document does not permit.
    pub fn lossy(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| !step.undo.loses.is_empty() && !step.permitted)
    }
}

/// Plans for a document on a host on which netkeel has written before.
fn plan_with(
    document: &Document,
    host: &Snapshot,
    holdings: &Holdings<'_>,
) -> Result<Planned, Box<Diagnostics>> {
    plan_wants(
        document,
        host,
        holdings,
        document.wants(host),
        Some(&BTreeSet::new()),
    )
}

/// Plans for what a document wants of a host, or for a part of it. Of a part it cannot be told what
/// is no longer declared; of the whole it can, when it is said which facts are declared beside those
/// that are wanted here.
fn plan_wants(
    document: &Document,
    host: &Snapshot,
    holdings: &Holdings<'_>,
    mut wants: Wants,
    apart: Option<&BTreeSet<Fact>>,
) -> Result<Planned, Box<Diagnostics>> {
    holdings::refuse_foreign(&wants.facts, &document.owner, holdings, &mut wants.diagnostics);
    if !wants.diagnostics.is_empty() {
        return Err(Box::new(wants.diagnostics));
    }
    routes::follow(&mut wants, &document.owner, holdings, host);
    let mut problems = std::mem::take(&mut wants.problems);
    let (mut drift, wanted) = drift_of(&wants.facts, host, &mut problems);
    let mut findings = std::mem::take(&mut wants.findings);
    let whole = apart.is_some();
    let prunes = whole && (holdings.prune || document.prune);
    let undeclared = (whole || !wants.left_alone.is_empty())
        .then(|| holdings::undeclared(&wants.facts, &document.owner, holdings));
    let is_apart = |fact: &Fact| apart.is_some_and(|apart| apart.contains(fact));
    let keeps = |claim: &&Claim| {
        let declared = is_apart(&claim.fact) || claim.caused_by.as_deref().is_some_and(is_apart);
        declared || holdings::is_kept_elsewhere(claim, host)
    };
    let undeclared = undeclared.into_iter().flatten().filter(|claim| !keeps(claim));
    let (given_back, others): (Vec<&Claim>, Vec<&Claim>) =
        undeclared.partition(|claim| prunes || holdings::does_harm(claim, host, &wants.left_alone));
    if whole {
        holdings::report(others.into_iter(), &mut findings);
    }
    let back = holdings::give_back(given_back.into_iter(), host, &mut findings);
    drift.extend(back.drift);
    drift.sort_by(|a, b| a.fact.cmp(&b.fact));
    let mut released = back.released;
    released.sort();
    let (mut plan, after) = finish(
        &document.owner,
        &document.netns,
        host,
        &wants,
        drift,
        wanted,
        findings,
    )?;
    plan.released = released;
    plan.unmatched = std::mem::take(&mut wants.unmatched);
    plan.findings
        .retain(|finding| !document.allowed.contains_key(&finding.code));
    plan.problems.append(&mut problems);
    plan.problems.sort();
    plan.problems.dedup();
    Ok(Planned {
        plan,
        wants,
        after,
        observation: None,
    })
}

/// The wanted facts that differ, and the number of those that do or could; what was not read is a
/// problem.
fn drift_of(
    wants: &BTreeMap<Fact, Want>,
    host: &Snapshot,
    problems: &mut Vec<Problem>,
) -> (Vec<Drift>, usize) {
    let mut drift = Vec::new();
    let mut wanted = 0;
    for (fact, want) in wants {
        let observed = host.get(fact);
        // What has a value is of an interface that is there.
        let there = matches!((&observed, &fact.object), (Observed::Value(_), Object::Link(_)));
        let counts = there || exists_or_comes(fact, host, wants);
        wanted += usize::from(counts);
        let observed = match observed {
            Observed::Value(value) if value == want.value => continue,
            Observed::Value(value) => Some(value),
            Observed::Absent => None,
            Observed::Unread => {
                problems.extend(host.unexplained(fact));
                continue;
            }
        };
        if counts {
            drift.push(Drift {
                fact: fact.clone(),
                observed,
                desired: Some(want.value.clone()),
                origin: want.origin.clone(),
            });
        }
    }
    (drift, wanted)
}

/// Orders the ops for a drift. The host after the last op comes with the plan, where there is something to do.
fn finish(
    owner: &str,
    netns: &Netns,
    host: &Snapshot,
    all: &Wants,
    drift: Vec<Drift>,
    wanted: usize,
    findings: Findings,
) -> Result<(Plan, Option<Snapshot>), Box<Diagnostics>> {
    let wants = &all.facts;
    let (steps, beside, after) = if drift.is_empty() {
        (Vec::new(), Vec::new(), None)
    } else {
        let mut planner = Planner::new(wants, &drift, host);
        planner.run();
        let impossible = impossible(wants, &planner);
        if !impossible.is_empty() {
            return Err(Box::new(impossible));
        }
        let beside = planner.beside(owner);
        (planner.steps, beside, Some(planner.model.host))
    };
    let plan = Plan {
        owner: owner.to_owned(),
        netns: netns.clone(),
        wanted,
        drift,
        steps,
        beside,
        released: Vec::new(),
        findings: findings.into_sorted(),
        unmatched: Vec::new(),
        problems: host.problems.clone(),
    };
    Ok((plan, after))
}

/// What the kernel would refuse, and wants that it ties together so that they cannot all hold.
fn impossible(wants: &BTreeMap<Fact, Want>, planner: &Planner<'_>) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    for (fact, error) in &planner.refused {
        if let Some(want) = wants.get(fact) {
            let message = error.message.as_str();
            let diagnostic = diagnostics.add(want.origin.span, &*want.origin.path, message);
            diagnostic.concerns(fact).hints = error.hints.clone();
        }
    }
    if !diagnostics.is_empty() {
        return diagnostics;
    }
    let host = &planner.model.host;
    for (fact, want) in wants {
        let is = host.get(fact);
        let differs = match &is {
            Observed::Value(value) => *value != want.value,
            Observed::Absent => true,
            Observed::Unread => false,
        };
        if differs && exists_or_comes(fact, host, wants) {
            let message = format!(
                "{fact} cannot be {} beside what else is declared, which makes it {}",
                fact.show(Some(&want.value)),
                fact.show(is.value().as_ref())
            );
            diagnostics
                .add(want.origin.span, &*want.origin.path, message)
                .concerns(fact);
        }
    }
    diagnostics
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
