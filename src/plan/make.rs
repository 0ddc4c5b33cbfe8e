//! Turns a document and a snapshot into ordered ops, each with its reason and its undo. An apply runs them
//! without any further decision.

pub(crate) mod routers;

use std::collections::{BTreeMap, BTreeSet};

use crate::goal::planned::Planned;
use crate::ledger::carried::{carry_over, made};
use crate::ledger::place::{Place, Places};
use crate::ledger::{Ledger, OwnershipRecord};
use crate::ownership::{Kept, Ownership};
use crate::plan::cause::Cause;
use crate::plan::{Drift, Plan};
use crate::planner::Planner;
use crate::{ownership, pod_routes};
use netkeel_core::fact::{Fact, Field, Object};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_document::want::Want;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::problem::Problem;
use netkeel_source::diagnostic::Diagnostics;

/// The version of the plan's format.
pub const FORMAT: u32 = 1;

/// Plans a document on a host where netkeel may have written before.
pub(crate) fn plan_with(
    document: &Document,
    host: &Snapshot,
    ownership: &Ownership<'_>,
) -> Result<Planned, Box<Diagnostics>> {
    let none = BTreeSet::new();
    routers::keeping(host, |lost| {
        let mut wants = document.wants(host);
        let kept = routers::keep(document, &mut wants, ownership, &none, lost, host);
        let mut planned = plan_wants(document, host, ownership, wants, Some(&none))?;
        routers::own(&mut planned.plan, &kept);
        Ok(planned)
    })
}

/// Plans the wants of a document for the whole host or for a part of it. `apart` is `None` for a part: a
/// part cannot show which facts are no longer declared. For the whole host it holds the declared facts that
/// `wants` leaves out.
pub(crate) fn plan_wants(
    document: &Document,
    host: &Snapshot,
    ownership: &Ownership<'_>,
    mut wants: Wants,
    apart: Option<&BTreeSet<Fact>>,
) -> Result<Planned, Box<Diagnostics>> {
    if apart.is_some() {
        let unbound = std::mem::take(&mut wants.unbound);
        wants.diagnostics.extend(unbound);
    }
    ownership::refuse_foreign(&wants.facts, &document.owner, ownership, &mut wants.diagnostics);
    if !wants.diagnostics.is_empty() {
        return Err(Box::new(wants.diagnostics));
    }
    pod_routes::follow(&mut wants, &document.owner, ownership, host);
    let mut problems = std::mem::take(&mut wants.problems);
    let (mut drift, wanted) = drift_of(&wants.facts, host, &mut problems);
    let mut findings = std::mem::take(&mut wants.findings);
    let whole = apart.is_some();
    let prunes = whole && ownership.prunes(document.prune);
    let undeclared = (whole || !wants.left_alone.is_empty())
        .then(|| ownership::undeclared(&wants.facts, &document.owner, ownership));
    let is_apart = |fact: &Fact| apart.is_some_and(|apart| apart.contains(fact));
    let keeps = |claim: &&OwnershipRecord| {
        let declared = is_apart(&claim.fact) || claim.caused_by.as_deref().is_some_and(is_apart);
        declared || wants.withholds(&claim.fact) || ownership::is_kept_elsewhere(claim, host)
    };
    let renamed = Renamed::new(ownership.ledger, host);
    // What is declared by the new name of an interface is not given back.
    let is_declared = |claim: &OwnershipRecord| {
        let now = renamed.now(claim);
        now.is_some_and(|fact| wants.facts.contains_key(fact) || is_apart(fact))
    };
    let undeclared = undeclared.into_iter().flatten();
    let undeclared = undeclared.filter(|claim| !keeps(claim) && !is_declared(claim));
    let (given_back, others): (Vec<&OwnershipRecord>, Vec<&OwnershipRecord>) =
        undeclared.partition(|claim| prunes || ownership::does_harm(claim, host, &wants.left_alone));
    if whole {
        ownership::report(others.into_iter(), &mut findings);
    }
    let given: BTreeSet<&Fact> = given_back.iter().map(|claim| &claim.fact).collect();
    let back = ownership::give_back(given_back.into_iter(), host, &mut findings);
    report_kept(&back.kept, host, &mut findings);
    let written: BTreeSet<&Fact> = drift.iter().map(|drift| &drift.fact).collect();
    let is_given = |fact: &Fact| given.contains(fact) && !back.unrestored.contains_key(fact);
    let (renamed, left) = renamed.of(&written, is_given);
    drift.extend(back.drift);
    let mut released = back.released;
    released.extend(left);
    // The interface that gets the name of one that is given back keeps its record.
    let takes: BTreeSet<&Fact> = renamed.iter().map(|record| &record.fact).collect();
    released.retain(|fact| !takes.contains(fact));
    released.sort();
    let (mut plan, after) = finish(
        &document.owner,
        &document.netns,
        host,
        &wants,
        ToDo {
            drift,
            followers: back.followers,
            wanted,
        },
        findings,
    )?;
    if let Some(ledger) = ownership.ledger {
        note_causes(&mut plan.drift, ledger);
    }
    plan.released = released;
    plan.renamed = renamed;
    if let Some(ledger) = ownership.ledger {
        carry_over(&mut plan, ledger, host);
    }
    plan.unrestored = back.unrestored.into_keys().collect();
    plan.unmatched = std::mem::take(&mut wants.unmatched);
    plan.skipped = wants.left_alone.keys().copied().collect();
    plan.skipped.retain(|name| wants.named.contains(name));
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

/// The records of interfaces that got another name since, each with its fact by that name.
struct Renamed<'a> {
    ledger: Option<&'a Ledger>,
    records: BTreeMap<&'a Fact, (&'a OwnershipRecord, Fact)>,
}

impl<'a> Renamed<'a> {
    fn new(ledger: Option<&'a Ledger>, host: &Snapshot) -> Self {
        let places = Places::new(host);
        let records = ledger.into_iter().flat_map(Ledger::claims);
        let renamed = records.filter_map(|record| match places.of(record) {
            Place::Renamed(now) => Some((&record.fact, (record, now))),
            Place::Here | Place::Gone | Place::Unknown => None,
        });
        Renamed {
            ledger,
            records: renamed.collect(),
        }
    }

    fn now(&self, record: &OwnershipRecord) -> Option<&Fact> {
        self.records.get(&record.fact).map(|(_, now)| now)
    }

    /// The records by their new names, where a plan writes one of the two interfaces: its own records must not take
    /// their place. With them the facts whose name no other record gets. Those that the plan gives back are left out.
    fn of(
        &self,
        written: &BTreeSet<&Fact>,
        is_given: impl Fn(&Fact) -> bool,
    ) -> (Vec<OwnershipRecord>, Vec<Fact>) {
        let known = |fact: &Fact| written.contains(fact);
        let moved = self
            .records
            .values()
            .filter(|(record, now)| (known(&record.fact) || known(now)) && !is_given(&record.fact));
        let (mut records, mut left) = (Vec::new(), Vec::new());
        for (record, now) in moved {
            let known = self.ledger.and_then(|ledger| ledger.get(now));
            if known.is_none_or(|known| known.device != record.device) {
                records.push(OwnershipRecord {
                    fact: now.clone(),
                    ..(*record).clone()
                });
            }
            left.push(record.fact.clone());
        }
        left.retain(|fact| !known(fact) && !records.iter().any(|record| record.fact == *fact));
        (records, left)
    }
}

/// Notes which side of each difference changed. A fact that is given back is declared by no document and gets
/// no cause.
fn note_causes(drift: &mut [Drift], ledger: &Ledger) {
    for drift in drift.iter_mut().filter(|drift| !drift.origin.path.is_empty()) {
        let (observed, desired) = (drift.observed.as_ref(), drift.desired.as_ref());
        drift.cause = Cause::of(&drift.fact, observed, desired, ledger);
    }
}

/// The wanted facts that differ, and the number of wanted facts that exist or can exist. Unread facts
/// become problems.
pub(crate) fn drift_of(
    wants: &BTreeMap<Fact, Want>,
    host: &Snapshot,
    problems: &mut Vec<Problem>,
) -> (Vec<Drift>, usize) {
    let mut drift = Vec::new();
    let mut wanted = 0;
    for (fact, want) in wants {
        let observed = host.get(fact);
        // A link fact with a value belongs to an interface that exists.
        let there = matches!((&observed, &fact.object), (Lookup::Value(_), Object::Link(_)));
        let counts = there || exists_or_comes(fact, host, wants);
        wanted += usize::from(counts);
        let observed = match observed {
            Lookup::Value(value) if value == want.value => continue,
            Lookup::Value(value) => Some(value),
            Lookup::Absent => None,
            Lookup::Unread => {
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
                cause: None,
            });
        }
    }
    (drift, wanted)
}

/// The drift that a plan corrects.
#[derive(Default)]
pub(crate) struct ToDo {
    /// The facts that differ.
    pub drift: Vec<Drift>,
    /// The facts of the drift that are written only where the kernel does not restore them by itself.
    pub followers: BTreeSet<Fact>,
    /// The number of wanted facts.
    pub wanted: usize,
}

/// Reports the facts that stay as another program wrote them, each with its values and the command that restores it.
pub(crate) fn report_kept(kept: &[Kept], host: &Snapshot, findings: &mut Findings) {
    if kept.is_empty() {
        return;
    }
    let drift: Vec<Drift> = kept.iter().map(|kept| kept.back.clone()).collect();
    let (wants, followers) = (BTreeMap::new(), BTreeSet::new());
    let mut planner = Planner::new(&wants, &drift, &followers, host);
    planner.run();
    for Kept { back, wrote } in kept {
        let fact = &back.fact;
        let message = format!(
            "it is {} now, netkeel wrote {}, and before that it was {}: another program changed it since, and netkeel does not restore it",
            fact.summary(back.observed.as_ref()),
            fact.summary(wrote.as_ref()),
            fact.summary(back.desired.as_ref())
        );
        // A file is no command, and other objects come back by more than one.
        let is_one_write = matches!(fact.object, Object::Link(_) | Object::Sysctl(_));
        let mut steps = planner.steps.iter().filter(|step| step.fact == *fact);
        let remedy = match (steps.next(), steps.next()) {
            (Some(step), None) if is_one_write => {
                format!("restore it by hand if needed: `{}`", step.op)
            }
            _ => "restore it by hand if needed".to_owned(),
        };
        findings.add(Code::NK011, fact, message, remedy);
    }
}

/// Orders the ops for a drift. Returns the plan and, if it has steps, the host after the last op.
pub(crate) fn finish(
    owner: &str,
    netns: &Netns,
    host: &Snapshot,
    all: &Wants,
    to_do: ToDo,
    findings: Findings,
) -> Result<(Plan, Option<Snapshot>), Box<Diagnostics>> {
    let wants = &all.facts;
    let ToDo {
        mut drift,
        followers,
        wanted,
    } = to_do;
    drift.sort_by(|a, b| a.fact.cmp(&b.fact));
    let (steps, beside, after) = if drift.is_empty() {
        (Vec::new(), Vec::new(), None)
    } else {
        let mut planner = Planner::new(wants, &drift, &followers, host);
        planner.run();
        let impossible = impossible(wants, &planner);
        if !impossible.is_empty() {
            return Err(Box::new(impossible));
        }
        let beside = planner.beside(owner);
        (planner.steps, beside, Some(planner.model.host))
    };
    // The kernel restores it together with what netkeel restores.
    let is_written = |fact: &Fact| steps.iter().any(|step| step.fact == *fact);
    drift.retain(|drift| !followers.contains(&drift.fact) || is_written(&drift.fact));
    let made = made(&steps);
    let beside_them = steps
        .iter()
        .flat_map(|step| &step.changes)
        .map(|change| &change.fact);
    let facts = drift.iter().map(|drift| &drift.fact).chain(beside_them);
    let devices = facts.filter_map(|fact| Some((fact.link_name()?, host.device(fact)?)));
    let devices = devices.filter(|(name, _)| !made.contains(name)).collect();
    let plan = Plan {
        owner: owner.to_owned(),
        netns: netns.clone(),
        wanted,
        drift,
        steps,
        beside,
        renamed: Vec::new(),
        devices,
        unrestored: Vec::new(),
        released: Vec::new(),
        findings: findings.into_sorted(),
        unmatched: Vec::new(),
        skipped: BTreeSet::new(),
        problems: host.problems.clone(),
    };
    Ok((plan, after))
}

/// Writes that the kernel would reject, and wants that the kernel couples so that they cannot all hold.
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
            Lookup::Value(value) => *value != want.value,
            Lookup::Absent => true,
            Lookup::Unread => false,
        };
        if differs && exists_or_comes(fact, host, wants) {
            let message = format!(
                "{fact} cannot be {}: other declarations make it {}",
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

/// An interface that does not exist, and that the document does not create, is skipped until it appears.
fn exists_or_comes(fact: &Fact, host: &Snapshot, wants: &BTreeMap<Fact, Want>) -> bool {
    match fact.link_name() {
        Some(name) => {
            host.links.contains_key(&name) || wants.contains_key(&Fact::link(&fact.netns, name, Field::Kind))
        }
        None => true,
    }
}
