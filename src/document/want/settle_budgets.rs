//! Settles budgets after all other wants, on the host as the document changes it, since an underlay
//! may be an interface whose MTU the same document sets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kinds::mtu::Wanted;
use crate::want::pending::Pending;
use crate::want::wants::Wants;
use crate::want::{Origin, Want};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::{Metric, RouteKey};
use netkeel_core::op::{Op, Target};
use netkeel_host::model::Model;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::routes::default_routes;
use netkeel_mtu::budget::{Budget, Derivation};
use netkeel_mtu::underlay::Underlay;

/// The hint for a cycle.
const IN_BYTES: &str = "give one of them in bytes, or keep it out of the match";

impl Wants {
    /// Adds a want; what a budget is to give waits until all else is known.
    pub(crate) fn add_wanted(&mut self, fact: Fact, wanted: &Wanted, origin: impl Into<Arc<Origin>>) {
        let origin = origin.into();
        match wanted {
            Wanted::Value(value, _) => {
                wanted.tell(&origin.path, &mut self.findings);
                let value = value.clone();
                self.add(fact, Want { value, origin });
            }
            Wanted::Budget(over) => {
                let over = over.clone();
                self.pending.push(Pending { fact, origin, over });
            }
        }
    }

    /// Computes all budgets. A result changes the underlay of other budgets, by name or because the
    /// kernel changes upper devices with lower ones. So the computation repeats until nothing
    /// changes.
    pub fn settle(&mut self, host: &Snapshot) {
        let pending = std::mem::take(&mut self.pending);
        let pending = self.without_circles(pending, host);
        let mut settled: Vec<Option<Derivation>> = Vec::new();
        for _ in 0..pending.len() + 2 {
            if pending.is_empty() {
                return;
            }
            let values = pending.iter().zip(&settled);
            let model = self.as_wanted(host, &values.collect::<Vec<_>>());
            let derived: Vec<Result<Derivation, Error>> =
                pending.iter().map(|entry| entry.derive(&model.host)).collect();
            let again: Vec<Option<Derivation>> = derived.iter().map(|answer| answer.clone().ok()).collect();
            if again == settled {
                for (entry, answer) in pending.into_iter().zip(derived) {
                    self.settle_one(entry, answer, &model.host);
                }
                return;
            }
            settled = again;
        }
        for entry in &pending {
            let message = format!(
                "the MTU of {} is to come from {}, which follows it",
                entry.fact.object, entry.over.underlay
            );
            let error = Error::new(ErrorKind::Input, message).hint(IN_BYTES);
            self.wrong(&entry.fact, &entry.origin, error);
        }
    }

    /// The host with the wanted MTUs and their side effects.
    fn as_wanted(&self, host: &Snapshot, settled: &[(&Pending, &Option<Derivation>)]) -> Model {
        let mut model = Model::new(host.clone());
        for (fact, want) in &self.facts {
            // A tunnel that comes, or is made again, has an MTU of its own and no routes.
            if let (Field::Kind, Some(name), Value::Device(kind)) =
                (fact.field, fact.link_name(), &want.value)
                && let Some(mode) = kind.tunnel_mode()
                && host.get(fact) != Lookup::Value(want.value.clone())
            {
                let target = target(&model, fact, name);
                model.apply(&Op::RecreateTunnel { target, mode });
                if let Some(routes) = &mut model.host.default_routes {
                    routes.retain(|route| route.link != name);
                }
            }
        }
        // Twice: the second pass corrects an upper device that has a wanted MTU of its own.
        for _ in 0..2 {
            for (fact, want) in &self.facts {
                let Some(name) = fact.link_name() else {
                    continue;
                };
                let (number, up) = (want.value.number(), want.value.switch());
                if let (Field::Mtu, Some(mtu)) = (fact.field, number) {
                    set_mtu(&mut model, fact, name, mtu);
                }
                if let (Field::Up, Some(up)) = (fact.field, up) {
                    let target = target(&model, fact, name);
                    model.apply(&Op::SetUp { target, up });
                }
                // A default route's own MTU counts.
                if let (Field::RouteMetric(route, metric), Some(bytes)) = (fact.field, number) {
                    set_metric(&mut model, fact, name, (route, metric), bytes);
                }
            }
            for (entry, answer) in settled {
                if let (Some(name), Some(answer)) = (entry.fact.link_name(), answer) {
                    set_mtu(&mut model, &entry.fact, name, answer.mtu);
                }
            }
        }
        model
    }

    fn settle_one(&mut self, entry: Pending, derived: Result<Derivation, Error>, host: &Snapshot) {
        let Pending {
            fact,
            mut origin,
            over,
        } = entry;
        if let Underlay::Link(name) = over.underlay
            && !host.links.contains_key(&name)
        {
            self.when_absent(name, &origin.path);
            // Declared as before, with a value that nobody knows now.
            self.withheld.insert(fact);
            return;
        }
        let answer = match derived {
            Ok(answer) => answer,
            Err(error) => return self.wrong(&fact, &origin, error),
        };
        let line = Budget::line(&answer);
        let link = fact
            .link_name()
            .and_then(|name| Some((name, host.links.get(&name)?)));
        if let Some(message) = link.and_then(|(name, link)| link.refuses_mtu(name, answer.mtu)) {
            let error = Error::new(ErrorKind::Input, message).hint(format!("it comes from {line}"));
            return self.wrong(&fact, &origin, error);
        }
        answer.tell(&origin.path, &mut self.findings);
        let value = Value::Number(answer.mtu);
        Arc::make_mut(&mut origin).derivation = Some(line.into());
        self.add(fact, Want { value, origin });
    }

    /// Tells an error once, whatever number of interfaces a match finds.
    fn wrong(&mut self, fact: &Fact, origin: &Origin, error: Error) {
        let told = self
            .diagnostics
            .add_once(origin.span, &origin.path, error.message);
        if told.hints.is_empty() {
            told.hints = error.hints;
        }
        told.concerns(fact);
    }

    /// Reports budgets that depend on themselves, directly or through others, and removes them.
    fn without_circles(&mut self, pending: Vec<Pending>, host: &Snapshot) -> Vec<Pending> {
        let stands_on: BTreeMap<LinkName, Vec<LinkName>> = pending
            .iter()
            .filter_map(|entry| Some((entry.fact.link_name()?, below(entry.over.underlay, host))))
            .collect();
        let (circles, pending): (Vec<Pending>, Vec<Pending>) = pending.into_iter().partition(|entry| {
            let name = entry.fact.link_name();
            name.is_some_and(|name| meets_itself(name, &stands_on))
        });
        for entry in circles {
            let Some(name) = entry.fact.link_name() else {
                continue;
            };
            let message = match entry.over.underlay {
                Underlay::DefaultRoute if below(Underlay::DefaultRoute, host).contains(&name) => {
                    format!("{name} carries the default route, and its MTU is to come from the default route")
                }
                Underlay::Link(other) if other == name => {
                    format!("the MTU of {name} is to come from itself")
                }
                other => {
                    format!("the MTU of {name} is to come from {other}, whose MTU depends on it in turn")
                }
            };
            let error = Error::new(ErrorKind::Input, message).hint(IN_BYTES);
            self.wrong(&entry.fact, &entry.origin, error);
        }
        pending
    }
}

/// Whether the underlays of an interface lead back to it.
fn meets_itself(name: LinkName, stands_on: &BTreeMap<LinkName, Vec<LinkName>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![name];
    while let Some(at) = next.pop() {
        for below in stands_on.get(&at).into_iter().flatten() {
            if *below == name {
                return true;
            }
            if seen.insert(*below) {
                next.push(*below);
            }
        }
    }
    false
}

/// The interfaces whose MTU the underlay is.
fn below(underlay: Underlay, host: &Snapshot) -> Vec<LinkName> {
    match underlay {
        Underlay::Mtu(_) | Underlay::Path(_) => Vec::new(),
        Underlay::Link(name) => vec![name],
        Underlay::DefaultRoute => {
            let routes = default_routes(host).unwrap_or_default();
            routes.into_iter().map(|(name, ..)| name).collect()
        }
    }
}

fn set_mtu(model: &mut Model, fact: &Fact, name: LinkName, mtu: i64) {
    let target = target(model, fact, name);
    if let Ok(mtu) = u32::try_from(mtu) {
        model.apply(&Op::SetMtu { target, mtu });
    }
}

fn set_metric(
    model: &mut Model,
    fact: &Fact,
    name: LinkName,
    (destination, metric): (RouteKey, Metric),
    bytes: i64,
) {
    let target = target(model, fact, name);
    model.apply(&Op::SetRouteMetric {
        target,
        pod: None,
        destination,
        // The model keeps the rest of the route.
        rest: Arc::from(""),
        next_hops: false,
        metric,
        locked: false,
        was: None,
        to: u32::try_from(bytes).ok(),
    });
}

fn target(model: &Model, fact: &Fact, name: LinkName) -> Target {
    Target {
        netns: fact.netns.clone(),
        index: model.host.links.get(&name).map_or(0, |link| link.index),
        name,
    }
}
