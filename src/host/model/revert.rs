//! Trial and revert: a plan tries an undo on the model and then continues from the earlier state.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::model::{Change, Model};
use crate::snapshot::link::Link;
use crate::snapshot::pod::PodEnd;
use netkeel_core::fact::{Field, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::op::Op;

/// The changes of a trial.
#[derive(Debug)]
pub struct Trial {
    changes: Vec<Change>,
    pinned: BTreeMap<u32, bool>,
    announced_routes: Option<BTreeMap<LinkName, Option<i64>>>,
}

impl Model {
    /// Starts a trial of ops that do not delete devices.
    pub fn trial(&self) -> Trial {
        Trial {
            changes: Vec::new(),
            pinned: self.stack.pinned(),
            announced_routes: self.host.announced_routes.clone(),
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
                let text = change.from.map(|value| value.to_string());
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
            link.put(change.fact.field, change.from);
        }
        self.stack.pin(&trial.pinned);
        self.host.announced_routes = trial.announced_routes;
    }
}

impl Link {
    /// Sets a field without its side effects.
    fn put(&mut self, field: Field, value: Option<Value>) {
        let conf = || match &value {
            Some(Value::Number(number)) => i32::try_from(*number).ok(),
            _ => None,
        };
        match (field, &value) {
            (Field::RpFilter, _) => self.rp_filter = conf(),
            (Field::Forwarding, _) => self.forwarding = conf(),
            (Field::Forwarding6, _) => self.forwarding6 = conf(),
            (Field::DisableIpv6, _) => self.disable_ipv6 = conf(),
            (Field::Mtu, Some(Value::Number(mtu))) => self.mtu = u32::try_from(*mtu).unwrap_or(self.mtu),
            (Field::PodMtu | Field::PodRouteMtu(_) | Field::PodAddress(_), _) => {
                if let Some(pod) = &mut self.pod {
                    pod.put(field, &value);
                }
            }
            (Field::Up, Some(Value::Switch(up))) => self.up = *up,
            (Field::Address(address), Some(Value::Switch(true))) => {
                self.addresses.insert(address);
            }
            (Field::Address(address), _) => {
                self.addresses.remove(&address);
            }
            (Field::TxQueueLength, Some(Value::Number(packets))) => {
                self.txqueuelen = u32::try_from(*packets).unwrap_or(self.txqueuelen);
            }
            (Field::Alias, Some(Value::Text(alias))) => {
                self.alias = (!alias.is_empty()).then(|| alias.clone());
            }
            _ => {}
        }
    }
}

impl PodEnd {
    /// As [`Link::put`].
    fn put(&mut self, field: Field, value: &Option<Value>) {
        let number = match value {
            Some(Value::Number(number)) => u32::try_from(*number).ok(),
            _ => None,
        };
        match field {
            Field::PodMtu => self.mtu = number.unwrap_or(self.mtu),
            Field::PodRouteMtu(destination) => {
                if let (Some(route), Some(mtu)) = (self.routes.get_mut(&destination), number) {
                    route.mtu = mtu;
                }
            }
            Field::PodAddress(IpNet::V6(address)) => {
                if *value == Some(Value::Switch(true)) {
                    self.ipv6.insert(address);
                } else {
                    self.ipv6.remove(&address);
                }
            }
            _ => {}
        }
    }
}
