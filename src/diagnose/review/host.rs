//! The effect of a change of documents on one host.
//!
//! The old document is planned on the snapshot, and the new one on the host as that plan leaves it. So drift that
//! exists today, and that both documents correct, does not appear; and the steps and losses are those of the change.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::lint;
use crate::lint::plan::planned;
use crate::path::drawing::Path;
use crate::path::select;
use crate::path::select::Start;
use crate::review::class::{After, Before, Class, FieldChange, FieldOf, Subject};
use crate::review::effect::{Effect, Effects, Example, Line, range};
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::finding::Finding;
use netkeel_document::document::Document;
use netkeel_document::document::part::Part;
use netkeel_document::want::{Origin, Want};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_plan::goal::Goal;
use netkeel_plan::goal::planned::Planned;
use netkeel_plan::loss::{Loss, LossKind};
use netkeel_plan::plan::Drift;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;

/// More classes than this that differ in the old values only are one class.
pub(super) const MANY: usize = 8;

/// A document with its source texts.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The document.
    pub document: &'a Document,
    /// The texts that its lines are counted in.
    pub sources: &'a Sources,
}

/// The effect on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostChange {
    /// The objects that change, by class.
    pub effects: Effects,
    /// Findings on the new document's plan that the old one's does not have.
    pub findings: BTreeSet<Finding>,
    /// Parts of the document that change and are no facts of the host.
    pub parts: BTreeSet<Part>,
}

impl HostChange {
    /// Whether the change has no effect on the host.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty() && self.findings.is_empty() && self.parts.is_empty()
    }
}

/// The document that cannot be planned on a host.
#[derive(Debug)]
pub enum Refused {
    /// The old one: nothing tells what the new one changes.
    Old(Box<Diagnostics>),
    /// The new one: `apply` would refuse it.
    New(Box<Diagnostics>),
}

/// The effect on a host.
///
/// # Errors
/// When a document cannot be planned on the host, such as for an MTU that a device rejects.
pub fn change(old: Version<'_>, new: Version<'_>, host: &Snapshot) -> Result<HostChange, Refused> {
    let mut before = Goal::plan(old.document, host).map_err(Refused::Old)?;
    let settled = before.after.as_ref().unwrap_or(host);
    let mut after = planned(new.document, settled).map_err(Refused::New)?;
    let mut findings: BTreeSet<Finding> = std::mem::take(&mut after.plan.findings).into_iter().collect();
    if !findings.is_empty() {
        lint::plan::add(Some(old.document), &mut before, host);
        findings.retain(|finding| !before.plan.findings.contains(finding));
    }
    let settled = before.after.as_ref().unwrap_or(host);
    let mut collected = Collected {
        effects: Effects::new(),
        risks: risks(&after),
        old: Locator::new(old.sources),
        new: Locator::new(new.sources),
    };
    let changes = changes(&before, &after, settled, new.document.prune);
    for object in changes.chunk_by(|one, next| one.fact.object == next.fact.object) {
        collected.add(object);
    }
    collected.add_other_risks();
    Ok(HostChange {
        effects: fold(collected.effects),
        findings,
        parts: old.document.changed_parts(new.document),
    })
}

/// The paths of packets on a host with the old and with the new document in force; `None` if one of them cannot be
/// planned there.
pub fn paths(old: Version<'_>, new: Version<'_>, host: &Snapshot) -> Option<(Vec<Path>, Vec<Path>)> {
    let before = planned(old.document, host).ok()?.after;
    let before = before.as_ref().unwrap_or(host);
    let after = planned(new.document, before).ok()?.after;
    let after = after.as_ref().unwrap_or(before);
    let all = |host: &Snapshot| select::paths(host, &Start::Everywhere, None, &|_| None);
    Some((all(before), all(after)))
}

/// A fact whose state or declaration changes.
struct Change<'a> {
    fact: &'a Fact,
    before: Before,
    after: After,
    origin: &'a Origin,
    /// The origin is a line of the old document.
    is_old: bool,
}

/// All changes in the order of the facts.
fn changes<'a>(before: &'a Planned, after: &'a Planned, host: &Snapshot, prunes: bool) -> Vec<Change<'a>> {
    let (old, new) = (&before.wants.facts, &after.wants.facts);
    let drift = &after.plan.drift;
    let mut all: Vec<Change<'_>> = drift.iter().map(of_drift).collect();
    // Without a ledger, all drift is of wanted facts.
    let others = without(new, drift.iter().map(|drift| &drift.fact));
    let unread = others.filter(|(fact, _)| host.get(fact) == Lookup::Unread);
    all.extend(unread.filter_map(|(fact, want)| of_unread(fact, old.get(fact), want)));
    // Facts of an interface that does not exist are not held.
    let exists = |fact: &Fact| fact.link_name().is_none_or(|name| host.links.contains_key(&name));
    let gone = without(old, new.keys()).filter(|(fact, _)| !after.wants.withholds(fact) && exists(fact));
    all.extend(gone.map(|(fact, want)| of_undeclared(fact, want, prunes)));
    all.sort_by_key(|change| change.fact);
    all
}

/// The wants without those of some facts, which come in their order.
fn without<'a>(
    wants: &'a BTreeMap<Fact, Want>,
    facts: impl Iterator<Item = &'a Fact>,
) -> impl Iterator<Item = (&'a Fact, &'a Want)> {
    let mut facts = facts.peekable();
    wants.iter().filter(move |(fact, _)| {
        while facts.next_if(|other| other < fact).is_some() {}
        facts.peek() != Some(fact)
    })
}

fn of_drift(drift: &Drift) -> Change<'_> {
    Change {
        fact: &drift.fact,
        before: drift.observed.clone().map_or(Before::Absent, Before::Value),
        after: drift.desired.clone().map_or(After::Absent, After::Value),
        origin: &drift.origin,
        is_old: false,
    }
}

/// A fact that the snapshot does not have. It changes unless the old document declares the same value.
fn of_unread<'a>(fact: &'a Fact, old: Option<&Want>, want: &'a Want) -> Option<Change<'a>> {
    if old.is_some_and(|old| old.value == want.value) {
        return None;
    }
    Some(Change {
        fact,
        before: old.map_or(Before::Unread, |old| Before::Value(old.value.clone())),
        after: After::Value(want.value.clone()),
        origin: &want.origin,
        is_old: false,
    })
}

fn of_undeclared<'a>(fact: &'a Fact, want: &'a Want, prunes: bool) -> Change<'a> {
    Change {
        fact,
        before: Before::Value(want.value.clone()),
        after: if prunes {
            After::GivenBack
        } else {
            After::NoLongerDeclared
        },
        origin: &want.origin,
        is_old: true,
    }
}

/// The risk of the writes to an object.
#[derive(Default)]
struct Risk {
    destroys: bool,
    losses: Vec<Loss>,
}

fn risks(after: &Planned) -> BTreeMap<Object, Risk> {
    let mut risks: BTreeMap<Object, Risk> = BTreeMap::new();
    let steps = after.plan.steps.iter();
    for step in steps.filter(|step| step.is_destructive() || !step.undo.loses.is_empty()) {
        let risk = risks.entry(step.fact.object.clone()).or_default();
        risk.destroys |= step.is_destructive();
        risk.losses.extend(step.undo.loses.iter().cloned());
    }
    risks
}

/// The effects on a host so far.
struct Collected<'a> {
    effects: Effects,
    risks: BTreeMap<Object, Risk>,
    old: Locator<'a>,
    new: Locator<'a>,
}

impl Collected<'_> {
    /// Adds the changes of an object.
    fn add(&mut self, changes: &[Change<'_>]) {
        let Some(object) = changes.first().map(|change| &change.fact.object) else {
            return;
        };
        let found = !changes.iter().any(|change| change.origin.named)
            && changes.iter().any(|change| !change.origin.path.is_empty());
        let risk = self.risks.remove(object).unwrap_or_default();
        // A tunnel that netkeel made goes with its declaration.
        let pruned =
            |change: &Change<'_>| change.after == After::GivenBack && change.fact.field == Field::Kind;
        let class = Class {
            subject: Subject::of(object, found),
            destroys: risk.destroys || changes.iter().any(pruned),
            losses: kinds(&risk.losses),
            changes: changes.iter().map(|change| field_change(change, found)).collect(),
        };
        if let Some(effect) = self.effects.get_mut(&class) {
            effect.count(object, &risk.losses);
            return;
        }
        let ranges = changes.iter().map(|change| range(old_value(change))).collect();
        let examples = changes.iter().map(|change| self.example(change)).collect();
        let effect = Effect::new(object, examples, risk.losses, ranges);
        self.effects.insert(class, effect);
    }

    /// Adds objects that keep their values, and whose writes are not free of risk: another write changes them
    /// meanwhile.
    fn add_other_risks(&mut self) {
        for (object, risk) in std::mem::take(&mut self.risks) {
            let class = Class {
                subject: Subject::Named(object.clone()),
                destroys: risk.destroys,
                losses: kinds(&risk.losses),
                changes: Vec::new(),
            };
            let effect = Effect::new(&object, Vec::new(), risk.losses, Vec::new());
            self.effects.insert(class, effect);
        }
    }

    fn example(&mut self, change: &Change<'_>) -> Example {
        let locator = if change.is_old {
            &mut self.old
        } else {
            &mut self.new
        };
        let line = (!change.origin.path.is_empty()).then(|| {
            let location = locator.locate(change.origin.span);
            Line {
                file: location.file,
                number: location.line,
                is_old: change.is_old,
            }
        });
        Example {
            fact: change.fact.clone(),
            line,
            derivation: change.origin.derivation.clone().filter(|_| !change.is_old),
        }
    }
}

fn kinds(losses: &[Loss]) -> BTreeSet<LossKind> {
    losses.iter().map(Loss::kind).collect()
}

fn old_value<'a>(change: &'a Change<'_>) -> Option<&'a Value> {
    match &change.before {
        Before::Value(value) => Some(value),
        Before::Absent | Before::Unread | Before::Various => None,
    }
}

fn field_change(change: &Change<'_>, found: bool) -> FieldChange {
    FieldChange {
        field: FieldOf::of(change.fact.field, found),
        before: change.before.clone(),
        after: change.after.clone(),
        entry: found.then(|| change.origin.path.clone()),
    }
}

/// Puts classes together that differ in the old values only, if there are many of them.
fn fold(effects: Effects) -> Effects {
    if effects.len() <= MANY {
        return effects;
    }
    let mut shapes: BTreeMap<Class, usize> = BTreeMap::new();
    for class in effects.keys() {
        *shapes.entry(class.without_before()).or_default() += 1;
    }
    let mut folded = Effects::new();
    for (class, effect) in effects {
        let shape = class.without_before();
        match shapes.get(&shape) {
            Some(number) if *number > MANY => match folded.entry(shape) {
                Entry::Occupied(mut known) => known.get_mut().join(effect),
                Entry::Vacant(place) => {
                    place.insert(effect);
                }
            },
            _ => {
                folded.insert(class, effect);
            }
        }
    }
    folded
}
