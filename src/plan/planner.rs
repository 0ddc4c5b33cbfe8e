//! Orders ops and tracks on the model which facts each of them changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::OwnershipRecord;
use crate::loss::Loss;
use crate::order::{Order, SortKey};
use crate::originals::{Known, Originals};
use crate::plan::{Drift, Step, Undo};
use crate::queue::Queue;
use crate::undo;
use crate::write::{mode, write, write_on};
use netkeel_core::error::Error;
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::{PerInterface, Slot};
use netkeel_core::op::{Op, Phase};
use netkeel_document::want::Want;
use netkeel_host::model::{Change, Model};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::lookup::Lookup;

/// Orders ops and tracks which facts each of them changes.
pub(crate) struct Planner<'a> {
    wants: &'a BTreeMap<Fact, Want>,
    /// The facts that differ, in the order of the facts.
    drift: &'a [Drift],
    /// The facts of the drift that changed only together with a written one. They are written last, and
    /// only where the kernel does not restore them by itself.
    followers: &'a BTreeSet<Fact>,
    pub model: Model,
    order: Order,
    /// The ops that are not yet ordered.
    queue: Queue,
    /// Devices that this plan creates. udev may rewrite their sysctls, so the plan writes all their wanted
    /// facts, whatever the model says.
    made: BTreeSet<LinkName>,
    /// Facts that the plan restored once after a side effect. Without this set, two wants that the kernel
    /// couples would restore each other forever.
    put_right: BTreeSet<Fact>,
    /// The value of each changed fact before the plan.
    originals: Originals<'a>,
    /// For each side effect (neither wanted nor drift), the fact whose op caused it first.
    causes: BTreeMap<Fact, Fact>,
    /// Wanted facts that the kernel would reject, each with the error.
    pub refused: Vec<(Fact, Error)>,
    pub steps: Vec<Step>,
}

impl<'a> Planner<'a> {
    /// `drift` must be in the order of the facts.
    pub fn new(
        wants: &'a BTreeMap<Fact, Want>,
        drift: &'a [Drift],
        followers: &'a BTreeSet<Fact>,
        host: &Snapshot,
    ) -> Self {
        Planner {
            wants,
            drift,
            followers,
            model: Model::new(host.clone()),
            order: Order::new(host, drift),
            queue: Queue::default(),
            made: BTreeSet::new(),
            put_right: BTreeSet::new(),
            originals: Originals::new(drift),
            causes: BTreeMap::new(),
            refused: Vec::new(),
            // Most drift needs one step. Growing the vector would hold all steps twice for a moment.
            steps: Vec::with_capacity(drift.len()),
        }
    }

    pub fn run(&mut self) {
        let followers = self.followers;
        let (drift, all) = (
            self.drift.iter().filter(|drift| !followers.contains(&drift.fact)),
            self.drift,
        );
        // Place files and devices first: the remaining ops on a new device show once it exists.
        let comes = |drift: &&Drift| {
            drift.desired.is_some() && matches!(drift.fact.field, Field::Kind | Field::Content)
        };
        for drift in drift.clone().filter(comes) {
            if let (Field::Kind, Some(name)) = (drift.fact.field, drift.fact.link_name()) {
                self.made.insert(name);
            }
            self.push(&drift.fact, drift.desired.as_ref(), false);
        }
        self.drain();
        match self.steps.is_empty() {
            // No step was placed, so every fact of the drift still differs.
            true => {
                for drift in drift {
                    self.push(&drift.fact, drift.desired.as_ref(), false);
                }
            }
            false => {
                for drift in drift {
                    self.push_unless_right(&drift.fact, drift.desired.as_ref(), false);
                }
            }
        }
        let wants = (!self.made.is_empty()).then_some(self.wants);
        for (fact, want) in wants.into_iter().flatten() {
            if fact.link_name().is_some_and(|name| self.made.contains(&name))
                && !matches!(fact.field, Field::Kind)
            {
                self.push_unless_right(fact, Some(&want.value), false);
            }
        }
        self.drain();
        let follows = |drift: &&Drift| followers.contains(&drift.fact);
        for drift in all.iter().filter(follows) {
            // A bridge that was written does not follow its ports any more.
            if !self.is_mtu_of_a_bridge(&drift.fact) {
                self.push_unless_right(&drift.fact, drift.desired.as_ref(), false);
            }
        }
        self.drain();
    }

    fn is_mtu_of_a_bridge(&self, fact: &Fact) -> bool {
        let link = fact.link_name().and_then(|name| self.model.host.link(name));
        fact.field == Field::Mtu && link.is_some_and(|link| link.kind_name() == "bridge")
    }

    fn push_unless_right(&mut self, fact: &Fact, value: Option<&Value>, restores: bool) {
        let right = self.model.host.get(fact) == value.cloned().map_or(Lookup::Absent, Lookup::Value);
        let is_sysctl = matches!(fact.object, Object::Sysctl(_))
            || matches!(fact.field, Field::RpFilter | Field::Forwarding);
        let udev_may_write = is_sysctl && fact.link_name().is_some_and(|name| self.made.contains(&name));
        if !right || udev_may_write {
            self.push(fact, value, restores);
        }
    }

    fn push(&mut self, fact: &Fact, value: Option<&Value>, restores: bool) {
        let host = &self.model.host;
        let link = fact.link_name().and_then(|name| host.link(name));
        if let Some((key, op)) = placed(&self.order, fact, value, link, host) {
            self.queue.push(key, (op, restores));
        }
    }

    /// Orders the queued ops, and the further ops that their side effects require.
    fn drain(&mut self) {
        while let Some((key, (mut op, restores))) = self.queue.pop() {
            let (phase, fact) = (key.phase, key.fact);
            // The kernel may have moved a route together with its interface, or an earlier op may have
            // changed another metric of it: the op is made again. If the route already has the wanted
            // value, the op is skipped.
            if let Op::SetRouteMetric { to, .. } = op {
                let to = to.map(|to| Value::Number(to.into()));
                if self.model.host.get(&fact).value() == to {
                    continue;
                }
                match write(&fact, to.as_ref(), &self.model.host) {
                    Some(moved) => op = moved,
                    None => continue,
                }
            }
            // An interface that went down lost its IPv6 addresses, so that none is left to remove.
            if matches!(op, Op::RemoveAddress { .. })
                && self.model.host.get(&fact) == Lookup::Value(Value::Switch(false))
            {
                continue;
            }
            self.hold_followers(&op, &fact, phase);
            self.place(op, fact, phase, restores);
        }
    }

    /// Writes the wanted facts that a write to `default` would change, with the values that they have. Then
    /// they do not follow it, and have no other value for a moment.
    fn hold_followers(&mut self, op: &Op, own: &Fact, phase: Phase) {
        let Op::WriteSysctl { key, .. } = op else {
            return;
        };
        let is_default = |parts: PerInterface<'_>| parts.slot == Slot::Default;
        if !key.per_interface().is_some_and(is_default) || !key.copied_to_links() {
            return;
        }
        let mut trial = self.model.trial();
        let changes = self.model.attempt(op, &mut trial);
        self.model.revert(trial);
        for change in changes.into_iter().filter(|change| change.fact != *own) {
            let is_right = |want: &&Want| change.from.as_ref() == Some(&want.value);
            let want = self.wants.get(&change.fact).filter(is_right);
            let op = want.and_then(|want| write(&change.fact, Some(&want.value), &self.model.host));
            if let Some(op) = op {
                self.place(op, change.fact, phase, true);
            }
        }
    }

    /// Adds a step.
    fn place(&mut self, op: Op, fact: Fact, phase: Phase, restores: bool) {
        let want = self.wants.get(&fact);
        if let (Some(_), Some(error)) = (want, self.model.refusal(&op)) {
            self.refused.push((fact, error));
            return;
        }
        let mode = match &fact.object {
            Object::File(path) => mode(&self.model.host, path),
            Object::Link(_)
            | Object::Sysctl(_)
            | Object::Plugin(_)
            | Object::Wireguard(_)
            | Object::Nflog(_)
            | Object::LogGroup(_) => 0,
        };
        let routes = routes_lost(&self.model, &op);
        let changes = self.model.apply(&op);
        for change in &changes {
            let known = self.originals.note(change);
            let own = change.fact == fact || known == Known::Drifts;
            if !own && !self.wants.contains_key(&change.fact) {
                self.causes
                    .entry(change.fact.clone())
                    .or_insert_with(|| fact.clone());
            }
        }
        // Settings of a device that this plan creates disappear with the device.
        let mut undo = match fact.link_name().filter(|name| self.made.contains(name)) {
            Some(_) if fact.field != Field::Kind => Undo::default(),
            _ => undo::undo(&mut self.model, &op, &fact, &changes, &self.originals, mode),
        };
        // The permission is for an MTU below 1280, and not for what `up: no` loses.
        let is_mtu = matches!(op, Op::SetMtu { .. } | Op::SetPodMtu { .. });
        let permitted = (is_mtu && want.is_some_and(|want| want.origin.permits_ipv6_loss))
            || op.loses_only_what_is_its_own();
        let permitted = permitted && routes.is_empty();
        undo.loses.extend(routes);
        let wanted = want.is_some();
        // All wanted facts of a created device are written anyway.
        if !op.makes_device() {
            if !wanted {
                self.keep(&changes);
            }
            self.put_right(&fact, want, &changes);
        }
        self.steps.push(Step {
            changes,
            phase,
            restores,
            named: want.is_none_or(|want| want.origin.named),
            permitted,
            undo,
            op,
            fact,
        });
    }

    /// Restores side effects of a release that are not released themselves. Those values predate netkeel,
    /// or belong to an interface that appeared later.
    fn keep(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| is_setting(change)) {
            let fact = &change.fact;
            // The kernel may yet restore it with another write.
            if self.followers.contains(fact) {
                continue;
            }
            if self.wants.contains_key(fact) || !self.put_right.insert(fact.clone()) {
                continue;
            }
            let value = match (self.originals.drift_of(fact), self.originals.get(fact)) {
                (Some(drift), _) => drift.desired.as_ref(),
                (None, Some(original)) => original,
                (None, None) => continue,
            };
            let value = value.cloned();
            self.push_unless_right(fact, value.as_ref(), true);
        }
    }

    /// Settings that no document wants and that changed together with a wanted one.
    pub fn beside(&self, owner: &str) -> Vec<OwnershipRecord> {
        let mut beside = Vec::new();
        for (fact, with) in &self.causes {
            let change = Change {
                fact: fact.clone(),
                from: self.originals.get(fact).flatten().cloned(),
                to: self.model.host.get(fact).value(),
            };
            let made = fact.link_name().is_some_and(|name| self.made.contains(&name));
            if !made && self.wants.contains_key(with) && is_setting(&change) {
                beside.push(OwnershipRecord {
                    device: self.model.host.device(&change.fact),
                    fact: change.fact,
                    owner: owner.into(),
                    found: change.from,
                    wrote: change.to,
                    caused_by: Some(Box::new(with.clone())),
                });
            }
        }
        beside
    }

    /// Queues an op for each side effect that changes a wanted fact.
    fn put_right(&mut self, own: &Fact, wanted: Option<&Want>, changes: &[Change]) {
        for change in changes {
            let want = match change.fact == *own {
                true => wanted,
                false => self.wants.get(&change.fact),
            };
            let Some(want) = want else { continue };
            let wrong = match changes {
                [only] => only.to.as_ref() != Some(&want.value),
                // Compare with the final state: recreating a device first deletes it.
                _ => self.model.host.get(&change.fact) != Lookup::Value(want.value.clone()),
            };
            if wrong && !self.queue.holds(&change.fact) && self.put_right.insert(change.fact.clone()) {
                let restores = change.from.as_ref() == Some(&want.value);
                self.push(&change.fact, Some(&want.value), restores);
            }
        }
    }
}

/// The default routes that an op removes and its undo does not bring back.
fn routes_lost(model: &Model, op: &Op) -> Vec<Loss> {
    match model.announced_routes_lost_by(op) {
        Some(links) => links
            .into_iter()
            .map(|link| Loss::AnnouncedRoutes { link })
            .collect(),
        None => vec![Loss::UnreadAnnouncedRoutes],
    }
}

/// The op that gives a fact a value, and its position. `link` is the interface of the fact.
fn placed(
    order: &Order,
    fact: &Fact,
    value: Option<&Value>,
    link: Option<&Link>,
    host: &Snapshot,
) -> Option<(SortKey, Op)> {
    let op = write_on(fact, value, link, host)?;
    Some((order.key(&op, fact, link, host), op))
}

/// Whether one value replaced another. Devices, addresses and files that appear or disappear are not
/// settings.
fn is_setting(change: &Change) -> bool {
    let there = change.from.is_some() && change.to.is_some() && change.from != change.to;
    there
        && !matches!(
            change.fact.field,
            Field::Kind | Field::Address(_) | Field::Content
        )
}
