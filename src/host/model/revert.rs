//! Trial and revert: a plan tries an undo on the model and then continues from the earlier state.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Change, Model};
use crate::snapshot::default_route::DefaultRoute;
use crate::snapshot::route::Route;
use netkeel_core::fact::{Field, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::RouteKey;
use netkeel_core::op::Op;

/// The changes of a trial.
#[derive(Debug)]
pub struct Trial {
    changes: Vec<Change>,
    pinned: BTreeMap<u32, bool>,
    announced_routes: Option<BTreeMap<LinkName, Option<i64>>>,
    /// The routes of the interfaces that have some: a route that disappears is more than its facts.
    routes: BTreeMap<LinkName, BTreeMap<RouteKey, Route>>,
    default_routes: Option<BTreeSet<DefaultRoute>>,
}

impl Model {
    /// Starts a trial of ops that do not delete devices.
    pub fn trial(&self) -> Trial {
        let with_routes = self
            .routed
            .iter()
            .filter_map(|name| Some((*name, self.host.link(*name)?)));
        Trial {
            changes: Vec::new(),
            pinned: self.stack.pinned(),
            announced_routes: self.host.announced_routes.clone(),
            routes: with_routes
                .map(|(name, link)| (name, link.routes.clone()))
                .collect(),
            default_routes: self.host.default_routes.clone(),
        }
    }

    /// Applies an op in a trial and returns its changes.
    pub fn attempt(&mut self, op: &Op, trial: &mut Trial) -> Vec<Change> {
        let changes = self.apply(op);
        trial.changes.extend(changes.iter().cloned());
        changes
    }

    /// Reverts all changes of a trial. Interfaces that were written stay marked as not following
    /// `default`.
    pub fn revert(&mut self, trial: Trial) {
        for change in trial.changes.into_iter().rev() {
            let Object::Link(name) = change.fact.object else {
                let text = change.from.map(|value| value.to_text());
                self.set_fact(&change.fact, text.as_deref(), &mut Vec::new());
                continue;
            };
            if change.fact.field == Field::Kind {
                self.host.links.remove(&name);
                self.addressed.remove(&name);
                for firm in self.firm.values_mut() {
                    firm.remove(&name);
                }
            }
            let Some(link) = self.host.link_mut(name) else {
                continue;
            };
            if let (Field::Mtu, Some(Value::Number(mtu))) = (change.fact.field, &change.from) {
                let mtu = u32::try_from(*mtu).unwrap_or(link.mtu);
                self.stack.port_changed(link.master, link.mtu, mtu);
            }
            link.put(change.fact.field, change.from.as_ref());
        }
        self.host.default_routes = trial.default_routes;
        for (name, routes) in trial.routes {
            if let Some(link) = self.host.link_mut(name) {
                link.routes = routes;
            }
        }
        self.stack.pin(&trial.pinned);
        self.host.announced_routes = trial.announced_routes;
    }
}
