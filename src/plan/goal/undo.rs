//! The undo of one apply that succeeded: its facts get the values from before it, and the ledger its records.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::goal::planned::Planned;
use crate::goal::{Goal, release, scope_of};
use crate::ledger::carried::{carry_over, made};
use crate::ledger::place::{Place, Places};
use crate::ledger::{Ledger, OwnershipRecord};
use crate::make::{ToDo, finish};
use crate::ownership::{Back, can_be_made, cannot_come_back, located};
use crate::plan::{Drift, Plan, Step};
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::finding::Findings;
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_document::want::wants::Wants;
use netkeel_host::model::Change;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;

/// The values of one apply, before and after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppliedValues {
    /// The name of the apply in the ledger and in the history.
    pub apply: String,
    /// The owner of the document.
    pub owner: String,
    /// The facts that the apply changed: `found` is the value before the apply, `wrote` the one after it.
    pub changes: Vec<OwnershipRecord>,
    /// Other facts that changed with these. The kernel restores them by itself, or nothing does.
    pub beside: BTreeSet<Fact>,
    /// The records of these facts in the ledger before the apply.
    pub held: Vec<OwnershipRecord>,
}

impl AppliedValues {
    /// The values of an apply that executed these plans, one after the other. `before` is the ledger before it, and
    /// `made` has the interfaces that it made.
    pub fn new(
        apply: &str,
        owner: &str,
        plans: &[&Plan],
        before: &Ledger,
        made: &BTreeMap<LinkName, DeviceId>,
    ) -> Self {
        // Of several changes of a fact, the first value and the last one count.
        let changes = plans.iter().flat_map(|plan| changes_of(plan, owner));
        let changes: Ledger = changes.map(|change| change.on_made(made)).collect();
        let changes: Vec<OwnershipRecord> = changes.claims().cloned().collect();
        let released: Vec<&Fact> = plans.iter().flat_map(|plan| &plan.released).collect();
        let facts: BTreeSet<&Fact> = changes
            .iter()
            .map(|change| &change.fact)
            .chain(released)
            .collect();
        let held = facts.into_iter().filter_map(|fact| before.get(fact)).cloned();
        AppliedValues {
            apply: apply.to_owned(),
            owner: owner.to_owned(),
            held: held.collect(),
            beside: plans.iter().flat_map(|plan| beside_of(plan, &changes)).collect(),
            changes,
        }
    }
}

/// The facts that a plan writes, and those that change with them.
fn changes_of(plan: &Plan, owner: &str) -> Vec<OwnershipRecord> {
    let record =
        |fact: &Fact, found: Option<&Value>, wrote: Option<&Value>, with: Option<&Fact>| OwnershipRecord {
            device: plan.device(fact),
            fact: fact.clone(),
            owner: owner.to_owned(),
            found: found.cloned(),
            wrote: wrote.cloned(),
            caused_by: with.cloned().map(Box::new),
        };
    let written: BTreeSet<&Fact> = plan.drift.iter().map(|drift| &drift.fact).collect();
    let mut changes: Vec<OwnershipRecord> = plan
        .drift
        .iter()
        .map(|drift| record(&drift.fact, drift.observed.as_ref(), drift.desired.as_ref(), None))
        .collect();
    let mut beside: BTreeMap<&Fact, (&Change, &Change, &Fact)> = BTreeMap::new();
    for step in &plan.steps {
        for change in step
            .changes
            .iter()
            .filter(|change| !written.contains(&change.fact))
        {
            let known = beside.entry(&change.fact).or_insert((change, change, &step.fact));
            known.1 = change;
        }
    }
    for (fact, (first, last, with)) in beside {
        if first.from != last.to && can_be_restored(fact, first.from.as_ref()) {
            changes.push(record(fact, first.from.as_ref(), last.to.as_ref(), Some(with)));
        }
    }
    changes
}

/// The facts that the steps of a plan change beside `changes`.
fn beside_of(plan: &Plan, changes: &[OwnershipRecord]) -> BTreeSet<Fact> {
    let known: BTreeSet<&Fact> = changes.iter().map(|change| &change.fact).collect();
    let facts = plan.steps.iter().flat_map(|step| &step.changes);
    let facts = facts.map(|change| &change.fact);
    facts.filter(|fact| !known.contains(fact)).cloned().collect()
}

/// Whether a write can bring a value back that changed with another one: a setting, or an address that the kernel
/// does not add by itself.
fn can_be_restored(fact: &Fact, value: Option<&Value>) -> bool {
    match fact.field {
        Field::Kind | Field::Content | Field::Rules => false,
        Field::Address(IpNet::V6(net)) | Field::PodAddress(IpNet::V6(net))
            if net.addr().is_unicast_link_local() =>
        {
            false
        }
        Field::Address(_) | Field::PodAddress(_) => value == Some(&Value::Switch(true)),
        Field::Value
        | Field::RpFilter
        | Field::Forwarding
        | Field::Forwarding6
        | Field::DisableIpv6
        | Field::Mtu
        | Field::PodMtu
        | Field::PodRouteMtu(_)
        | Field::RouteMetric(..)
        | Field::Up
        | Field::TxQueueLength
        | Field::Alias => value.is_some(),
    }
}

fn is_address(fact: &Fact) -> bool {
    matches!(fact.field, Field::Address(_) | Field::PodAddress(_))
}

/// The undo of an apply.
#[derive(Debug)]
pub struct UndoApply<'a> {
    /// The ownership records.
    pub ledger: &'a Ledger,
    /// The values of the apply.
    pub values: &'a AppliedValues,
    /// The namespace of the host.
    pub netns: &'a Netns,
    /// Values that were changed since the apply are replaced too.
    pub force: bool,
}

impl Goal for UndoApply<'_> {
    fn scope(&self) -> Scope {
        scope_of(self.values.changes.iter())
    }

    fn plan(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        let (mut back, mut findings) = (Back::default(), Findings::default());
        let places = Places::new(host);
        let all = self.changes(&places);
        let changes = located(all.iter(), host, &mut back, &mut findings);
        let changes: Vec<OwnershipRecord> = changes.into_iter().map(Cow::into_owned).collect();
        let mut since = changed_since(&changes, host);
        for (fact, why) in &back.unrestored {
            since.insert(fact.clone(), Since::Stays(why.clone()));
        }
        if !self.force && !since.is_empty() {
            return Err(Box::new(refused(&since, &self.values.changes)));
        }
        let changes: Vec<OwnershipRecord> = changes
            .into_iter()
            .map(|change| match since.get(&change.fact) {
                // Its value now counts as the one that the apply wrote.
                Some(Since::Now(now)) => OwnershipRecord {
                    wrote: now.clone(),
                    ..change
                },
                _ => change,
            })
            .collect();
        let owner = &self.values.owner;
        // Addresses wait until the settings allow them.
        let first = changes
            .iter()
            .filter(|change| !(change.caused_by.is_some() && is_address(&change.fact)));
        let mut planned = release(first, owner, self.netns, host)?;
        for addresses in [false, true] {
            self.restore(&mut planned, &changes, host, addresses)?;
        }
        planned.plan.drift.sort_by(|one, other| one.fact.cmp(&other.fact));
        let own = self.own(&all, &places);
        back.released.retain(|fact| own.contains(fact));
        back.released.sort();
        back.released.dedup();
        let made = made(&planned.plan.steps);
        let held = self.held(&all, &places, &made);
        let held = held.filter(|claim| !back.unrestored.contains_key(&claim.fact));
        let held: Vec<OwnershipRecord> = held.collect();
        let kept: BTreeSet<&Fact> = held.iter().map(|claim| &claim.fact).collect();
        back.released.retain(|fact| !kept.contains(fact));
        planned.plan.released = back.released;
        planned.plan.unrestored = back.unrestored.into_keys().collect();
        planned.plan.findings.extend(findings.into_sorted());
        carry_over(&mut planned.plan, self.ledger, host);
        // They come after the claims of this plan, so the ledger is as before the apply.
        planned.plan.beside.extend(held);
        Ok(planned)
    }
}

/// The state of a fact that is not as the apply left it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Since {
    /// It has another value; `None` if it is absent.
    Now(Option<Value>),
    /// It cannot be restored, for this reason.
    Stays(String),
    /// It has the value, and what was there before cannot be made again.
    Lost,
}

impl UndoApply<'_> {
    /// The changes of the apply. Where an interface is gone and netkeel wrote the same since on the one that has its
    /// name, the change is of that one.
    fn changes(&self, places: &Places<'_>) -> Vec<OwnershipRecord> {
        let again = |change: &OwnershipRecord| {
            let record = self.ledger.get(&change.fact)?;
            let is_same = record.wrote == change.wrote && record.owner == self.values.owner;
            record
                .device
                .filter(|_| is_same && places.of(change) == Place::Gone)
        };
        let changes = self.values.changes.iter();
        changes
            .map(|change| OwnershipRecord {
                device: again(change).or(change.device),
                ..change.clone()
            })
            .collect()
    }

    /// The facts that the undo may release: the records of the others are of interfaces that a later apply wrote.
    fn own(&self, changes: &[OwnershipRecord], places: &Places<'_>) -> BTreeSet<Fact> {
        let mut own = BTreeSet::new();
        for change in changes {
            let record = self.ledger.get(&change.fact);
            let place = places.of(change);
            if place == Place::Here || record.is_none_or(|record| record.device == change.device) {
                own.insert(change.fact.clone());
            }
            if let Place::Renamed(now) = place {
                own.insert(now);
            }
        }
        own
    }

    /// The records from before the apply, on the interfaces of the changes. They do not replace records of other
    /// interfaces. `made` are the tunnels that the undo makes.
    fn held<'a>(
        &'a self,
        changes: &[OwnershipRecord],
        places: &'a Places<'a>,
        made: &'a BTreeSet<LinkName>,
    ) -> impl Iterator<Item = OwnershipRecord> + use<'a> {
        let then = self.values.changes.iter().map(|change| change.device);
        let devices = then.zip(changes).filter(|(then, change)| *then != change.device);
        let devices: BTreeMap<Fact, (Option<DeviceId>, Option<DeviceId>)> = devices
            .map(|(then, change)| (change.fact.clone(), (then, change.device)))
            .collect();
        self.values.held.iter().cloned().filter_map(move |mut claim| {
            if claim.fact.link_name().is_some_and(|name| made.contains(&name)) {
                // The apply fills in the new interface.
                claim.device = None;
                return Some(claim);
            }
            if let Some((_, now)) = devices.get(&claim.fact).filter(|(then, _)| claim.device == *then) {
                claim.device = *now;
            }
            let known = self.ledger.get(&claim.fact);
            let is_of_another = known.is_some_and(|known| known.device != claim.device);
            match places.of(&claim) {
                Place::Gone if is_of_another => return None,
                Place::Renamed(now) if is_of_another => claim.fact = now,
                Place::Here | Place::Renamed(_) | Place::Gone | Place::Unknown => {}
            }
            Some(claim)
        })
    }

    /// Adds the writes for what changed with the facts of the apply, and for what the writes of its undo change
    /// beside: addresses, or settings.
    fn restore(
        &self,
        planned: &mut Planned,
        changes: &[OwnershipRecord],
        host: &Snapshot,
        addresses: bool,
    ) -> Result<(), Box<Diagnostics>> {
        let of_apply: BTreeMap<&Fact, &OwnershipRecord> =
            changes.iter().map(|change| (&change.fact, change)).collect();
        let steps = planned.plan.steps.iter();
        let touched: BTreeSet<&Fact> = steps
            .flat_map(|step| &step.changes)
            .map(|change| &change.fact)
            .collect();
        let now = planned.after.as_ref().unwrap_or(host);
        let mut drift = Vec::new();
        for fact in touched.iter().chain(of_apply.keys()).collect::<BTreeSet<_>>() {
            let fact: &Fact = fact;
            let before = host.get(fact).value();
            let target = match of_apply.get(fact) {
                Some(change) if change.caused_by.is_none() => continue,
                None if self.values.beside.contains(fact) => continue,
                // Another program changed it since.
                Some(change) if before != change.wrote && !touched.contains(fact) => continue,
                Some(change) => change.found.clone(),
                None => before,
            };
            let is_there = fact.link_name().is_none_or(|name| now.links.contains_key(&name));
            let observed = now.get(fact).value();
            if is_there
                && is_address(fact) == addresses
                && observed != target
                && can_be_restored(fact, target.as_ref())
            {
                drift.push(Drift {
                    cause: None,
                    fact: fact.clone(),
                    observed,
                    desired: target,
                    origin: Arc::default(),
                });
            }
        }
        if drift.is_empty() {
            return Ok(());
        }
        let to_do = ToDo {
            drift: drift.clone(),
            ..ToDo::default()
        };
        let wants = Wants::default();
        let (more, after) = finish(
            &self.values.owner,
            self.netns,
            now,
            &wants,
            to_do,
            Findings::default(),
        )?;
        drift.retain(|drift| of_apply.contains_key(&drift.fact));
        planned.plan.drift.extend(drift);
        let steps = more.steps.into_iter().map(|step| Step {
            restores: !of_apply.contains_key(&step.fact),
            ..step
        });
        planned.plan.steps.extend(steps);
        planned.after = after;
        Ok(())
    }
}

/// The facts that the undo cannot restore, or only over a value that another program or another apply wrote.
fn changed_since(changes: &[OwnershipRecord], host: &Snapshot) -> BTreeMap<Fact, Since> {
    // These devices go, with all that was written on them.
    let made: BTreeSet<LinkName> = changes
        .iter()
        .filter(|change| change.fact.field == Field::Kind && !can_be_made(change.found.as_ref()))
        .filter_map(|change| change.fact.link_name())
        .collect();
    let mut since = BTreeMap::new();
    for change in changes.iter().filter(|change| change.caused_by.is_none()) {
        let of = change.fact.link_name();
        let is_kind = change.fact.field == Field::Kind;
        if !is_kind && of.is_some_and(|name| made.contains(&name) || !host.links.contains_key(&name)) {
            // An interface that was deleted has nothing to restore.
            continue;
        }
        let found = match host.get(&change.fact) {
            Lookup::Value(value) => Some(value),
            Lookup::Absent | Lookup::Unread => None,
        };
        // Without the tunnel that replaced it, nothing is left to do for a device that cannot be made again.
        let replaced = is_kind && change.found.is_some() && !can_be_made(change.found.as_ref());
        if found == change.found || (replaced && found.is_none()) {
            continue;
        }
        if found != change.wrote {
            since.insert(change.fact.clone(), Since::Now(found));
        } else if replaced || cannot_come_back(change) {
            since.insert(change.fact.clone(), Since::Lost);
        }
    }
    since
}

/// The errors for the facts that keep the undo from being made: one for all facts with the same values.
fn refused(since: &BTreeMap<Fact, Since>, changes: &[OwnershipRecord]) -> Diagnostics {
    let wrote: BTreeMap<&Fact, Option<&Value>> = changes
        .iter()
        .map(|change| (&change.fact, change.wrote.as_ref()))
        .collect();
    let mut groups: BTreeMap<(&str, String), Vec<&Fact>> = BTreeMap::new();
    let mut stays = Vec::new();
    for (fact, since) in since {
        let (was, about) = match since {
            Since::Now(now) => (
                "changed since the apply",
                format!(
                    ": the apply set {}, now it is {}",
                    fact.summary(wrote.get(fact).copied().flatten()),
                    fact.summary(now.as_ref())
                ),
            ),
            Since::Stays(why) => {
                stays.push((fact, why));
                continue;
            }
            Since::Lost => ("not to be made again as before the apply", String::new()),
        };
        groups.entry((was, about)).or_default().push(fact);
    }
    let mut diagnostics = Diagnostics::default();
    for (fact, why) in stays {
        diagnostics.add(None, "", format!("{fact}: {why}")).concerns(fact);
    }
    for ((was, about), facts) in groups {
        let message = match facts.as_slice() {
            [fact] => format!("{fact} was {was}{about}"),
            facts => format!("{} were {was}{about}", listed(facts)),
        };
        let diagnostic = diagnostics.add(None, "", message);
        for fact in facts {
            diagnostic.concerns(fact);
        }
    }
    let message = "the host is not as the apply left it; nothing was written";
    diagnostics
        .add(None, "", message)
        .hint("--force restores the rest, and replaces values that were changed since");
    diagnostics
}

/// The first of some facts, and the number of the others.
fn listed(facts: &[&Fact]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = facts.iter().take(SHOWN).map(ToString::to_string).collect();
    match facts.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
