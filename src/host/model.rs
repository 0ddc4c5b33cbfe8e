//! The model kernel: the facts that each op changes, the op's own fact first, then the side effects
//! in the kernel. Plans, undo lists and tests rely on it; a conformance test compares it with a
//! real kernel.

mod address;
pub mod kernel;
mod link;
mod nflog;
mod refusal;
pub mod revert;
pub mod stack;
mod sysctl;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::model::stack::Stack;
use crate::snapshot::Snapshot;
use crate::snapshot::link::Link;
use crate::snapshot::pod::{PodEnd, PodRoute};
use crate::snapshot::reading::{File, SysctlReading};
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::maybe_secret::MaybeSecret;
use netkeel_core::mtu::IPV6_MIN_MTU;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::{Metric, RouteKey};
use netkeel_core::op::Op;

/// A fact that an op changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The fact.
    pub fact: Fact,
    /// Its value before; none when it was absent.
    pub from: Option<Value>,
    /// Its value after; none when it is absent.
    pub to: Option<Value>,
}

/// A snapshot that ops can be applied to.
#[derive(Clone, Debug)]
pub struct Model {
    /// The facts as they are now.
    pub host: Snapshot,
    stack: Stack,
    /// For each `net.ipv4.conf` leaf, the interfaces that are known not to follow `default`. The
    /// kernel does not expose this bit (`ipv4_devconf.state`). An interface follows until its leaf
    /// is written or it gets an IPv4 address; one made after `default` was written never follows.
    /// An interface not listed here is assumed to follow, so that a plan that depends on it says
    /// so.
    firm: BTreeMap<String, BTreeSet<LinkName>>,
    /// The leaves whose `default` was written: interfaces with a different value are in `firm`.
    compared: BTreeSet<String>,
    /// The interfaces that had an IPv4 address in the snapshot, or got one since.
    addressed: BTreeSet<LinkName>,
    /// The interfaces that had routes in the snapshot. No op adds a route.
    routed: BTreeSet<LinkName>,
    /// The snapshot holds `net.ipv6.conf.LINK.mtu` of at least one interface.
    mtu_as_sysctl: bool,
}

impl Model {
    /// A model that starts from a snapshot.
    pub fn new(host: Snapshot) -> Self {
        let stack = Stack::new(&host);
        let addressed = host.links.iter().filter(|(_, link)| link.has_ipv4());
        let routed = host.links.iter().filter(|(_, link)| !link.routes.is_empty());
        Model {
            addressed: addressed.map(|(name, _)| *name).collect(),
            routed: routed.map(|(name, _)| *name).collect(),
            mtu_as_sysctl: host.sysctls.keys().any(|key| key.path().ends_with("/mtu")),
            host,
            stack,
            firm: BTreeMap::new(),
            compared: BTreeSet::new(),
        }
    }

    /// Applies an op and returns all facts that it changes.
    pub fn apply(&mut self, op: &Op) -> Vec<Change> {
        // Most ops change one fact, and plans have thousands of them.
        let mut changes = Vec::with_capacity(1);
        match op {
            Op::WriteFile { path, content, mode } => {
                let file = File {
                    content: content.clone(),
                    mode: *mode,
                };
                let old = self.host.files.insert(path.to_path_buf(), Some(file)).flatten();
                let from = old.map(|file| Value::Text(file.content.into()));
                changes.push(Change {
                    fact: Fact::file(path),
                    from,
                    to: Some(Value::Text(content.clone().into())),
                });
            }
            Op::RemoveFile { path } => {
                let old = self.host.files.insert(path.to_path_buf(), None).flatten();
                changes.push(Change {
                    fact: Fact::file(path),
                    from: old.map(|file| Value::Text(file.content.into())),
                    to: None,
                });
            }
            Op::SetPluginMtu {
                path, plugin, mtu, ..
            } => self.set_plugin_mtu(path, plugin, mtu.as_ref(), &mut changes),
            Op::SetWireguardMtu { path, source, to, .. } => {
                if let Some(copied) = self.host.wireguard.get_mut(&**path) {
                    let to = to.value();
                    let from = std::mem::replace(&mut copied.is, to.clone());
                    let fact = Fact::wireguard(path, source);
                    changes.push(Change { fact, from, to });
                }
            }
            Op::CreateTunnel { target, mode } => self.create(target, *mode, &mut changes),
            Op::RecreateTunnel { target, mode } => {
                self.remove(target.name, &mut changes);
                self.create(target, *mode, &mut changes);
            }
            Op::DeleteLink { target, made } => {
                if self.is_made(target.name, made.as_ref()) {
                    self.remove(target.name, &mut changes);
                }
            }
            Op::AddAddress { target, address } => self.add_address(target.name, *address, &mut changes),
            Op::RemoveAddress { target, address } => self.remove_address(target.name, *address, &mut changes),
            Op::SetMtu { target, mtu } => {
                self.stack.mtu_was_set(target.name, *mtu, &self.host);
                self.set_mtu(target.name, *mtu, &mut changes);
            }
            Op::SetPodMtu { target, mtu, .. } => self.set_pod_mtu(target.name, *mtu, &mut changes),
            Op::SetRouteMetric {
                target,
                pod: Some(_),
                destination,
                to,
                ..
            } => {
                let field = Field::PodRouteMtu(*destination);
                self.set(target.name, field, &mut changes, |link| {
                    let routes = link.pod.as_mut().map(|pod| &mut pod.routes);
                    let route = routes.and_then(|routes| routes.get_mut(destination));
                    if let (Some(route), Some(to)) = (route, to) {
                        route.mtu = *to;
                    }
                });
            }
            Op::SetRouteMetric {
                target,
                pod: None,
                destination,
                metric,
                to,
                ..
            } => {
                if *metric == Metric::Mtu {
                    self.default_route_changes(target.name, *destination, *to);
                    self.route_mtu_changes(destination, *to);
                }
                let field = Field::RouteMetric(*destination, *metric);
                let value = to.map(|to| Value::Number(to.into()));
                self.set(target.name, field, &mut changes, |link| {
                    link.put(field, value.as_ref());
                });
            }
            Op::SetUp { target, up } => self.set_up(target.name, *up, &mut changes),
            Op::SetTxQueueLength { target, packets } => {
                self.set(target.name, Field::TxQueueLength, &mut changes, |link| {
                    link.txqueuelen = *packets
                });
            }
            Op::SetAlias { target, alias } => {
                let alias = (!alias.is_empty()).then(|| alias.clone());
                self.set(target.name, Field::Alias, &mut changes, |link| link.alias = alias);
            }
            Op::WriteSysctl { key, value, .. } => self.write_sysctl(key, value, &mut changes),
            Op::SetRules { name, rules, .. } => self.set_rules(name, Some(rules), &mut changes),
            Op::RemoveRules { name, .. } => self.set_rules(name, None, &mut changes),
            Op::RemoveForeignRules { rules, .. } => self.remove_foreign(rules, &mut changes),
            Op::RestoreForeignRules { rules, .. } => self.restore_foreign(rules, &mut changes),
        }
        changes.retain(|change| change.from != change.to);
        changes
    }

    /// Marks all interfaces as not following `net.ipv4.conf.default.<leaf>` from now on. That is
    /// the state of a namespace whose `default` was written before its interfaces were made, or
    /// that inherited a written `default` (`devinet_init_net`, net/ipv4/devinet.c).
    pub fn nothing_follows(&mut self, leaf: &str) {
        self.compared.insert(leaf.to_owned());
        let links = self.host.links.keys().copied().collect();
        self.firm.insert(leaf.to_owned(), links);
    }

    /// Changes one field of a link and records the change.
    fn set(
        &mut self,
        name: LinkName,
        field: Field,
        changes: &mut Vec<Change>,
        write: impl FnOnce(&mut Link),
    ) {
        let families = self.host.families;
        let Some(link) = self.host.link_mut(name) else {
            return;
        };
        let from = link.get(field, families).value();
        write(link);
        let to = link.get(field, families).value();
        let fact = Fact::link(&self.host.netns, name, field);
        changes.push(Change { fact, from, to });
    }

    /// Sets a sysctl's fact, wherever the snapshot keeps it; none removes it.
    fn set_fact(&mut self, fact: &Fact, value: Option<&str>, changes: &mut Vec<Change>) {
        match &fact.object {
            Object::Link(name) => {
                let number = value.and_then(|value| value.parse().ok()).map(Value::Number);
                self.set(*name, fact.field, changes, |link| {
                    link.put(fact.field, number.as_ref());
                });
            }
            Object::Sysctl(key) => {
                let from = self.host.get(fact).value();
                let writable = match self.host.sysctls.get(key) {
                    Some(SysctlReading::Value { writable, .. }) => *writable,
                    _ => true,
                };
                let secret = key.is_secret() || from.as_ref().is_some_and(Value::is_secret);
                let value = value.map(|value| MaybeSecret::from(value).secret_if(secret));
                let reading = match value.clone() {
                    Some(value) => SysctlReading::Value { value, writable },
                    None => SysctlReading::Absent,
                };
                self.host.sysctls.insert(key.clone(), reading);
                changes.push(Change {
                    fact: fact.clone(),
                    from,
                    to: value.map(Value::Text),
                });
            }
            Object::File(_)
            | Object::Plugin(_)
            | Object::Wireguard(_)
            | Object::Nflog(_)
            | Object::LogGroup(..) => {}
        }
    }

    /// Sets the MTU of a pod's end. Below 1280 bytes it loses IPv6, like any other interface. IPv6
    /// routes with an MTU of their own change too, if that MTU is larger, or was equal to the
    /// device's (`rt6_mtu_change_route`, net/ipv6/route.c).
    fn set_pod_mtu(&mut self, name: LinkName, mtu: u32, changes: &mut Vec<Change>) {
        let end = self.host.links.get(&name).and_then(|link| link.pod.as_ref());
        let goes_along = |end: &PodEnd, key: &RouteKey, route: &PodRoute| {
            let ipv6 = matches!(key.destination, ipnet::IpNet::V6(_)) && mtu >= IPV6_MIN_MTU;
            ipv6 && !route.locked && (route.mtu >= mtu || route.mtu == end.mtu)
        };
        let moved: Vec<RouteKey> = end
            .into_iter()
            .flat_map(|end| end.routes.iter().map(move |(key, route)| (end, key, route)))
            .filter(|(end, key, route)| goes_along(end, key, route))
            .map(|(_, key, _)| *key)
            .collect();
        self.set(name, Field::PodMtu, changes, |link| {
            if let Some(pod) = &mut link.pod {
                pod.mtu = mtu;
                pod.mtu6 = None;
            }
        });
        for key in moved {
            self.set(name, Field::PodRouteMtu(key), changes, |link| {
                let routes = link.pod.as_mut().map(|pod| &mut pod.routes);
                if let Some(route) = routes.and_then(|routes| routes.get_mut(&key)) {
                    route.mtu = mtu;
                }
            });
        }
        let end = self.host.links.get(&name).and_then(|link| link.pod.as_ref());
        let lost: Vec<_> = end
            .filter(|_| mtu < IPV6_MIN_MTU)
            .map(|end| end.ipv6.iter().copied().collect())
            .unwrap_or_default();
        for address in lost {
            self.set(name, Field::PodAddress(address.into()), changes, |link| {
                if let Some(pod) = &mut link.pod {
                    pod.ipv6.remove(&address);
                }
            });
        }
    }

    fn set_plugin_mtu(&mut self, path: &Path, plugin: &str, mtu: Option<&Value>, changes: &mut Vec<Change>) {
        let fact = Fact::plugin(path, plugin);
        let from = self.host.get(&fact).value();
        let files = self.host.cni.as_mut().map(|cni| &mut cni.files);
        if let Some(configuration) = files.and_then(|files| files.get_mut(path)?.as_mut()) {
            configuration.set(plugin, mtu);
            let to = self.host.get(&fact).value();
            changes.push(Change { fact, from, to });
        }
    }
}
