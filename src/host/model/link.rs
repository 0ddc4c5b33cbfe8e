//! Interfaces in the model: create, delete, up, down, and the side effects of an MTU.

use std::collections::BTreeSet;
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::{Change, Model};
use crate::snapshot::default_route::DefaultRoute;
use crate::snapshot::forwarding::Family;
use crate::snapshot::link::Link;
use crate::snapshot::route::{Route, RouteMtu};
use netkeel_core::fact::{Fact, Field};
use netkeel_core::mtu::{IPV4_MIN_MTU, IPV6_MIN_MTU};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::{Metric, RouteKey};
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::op::{Op, Target};

impl Model {
    pub(crate) fn create(&mut self, target: &Target, mode: TunnelKind, changes: &mut Vec<Change>) {
        let link = Link {
            kind: Some(mode.kind().into()),
            external: true,
            mtu: mode.default_mtu(),
            min_mtu: 68,
            txqueuelen: 1000,
            ..Link::default()
        };
        self.host.links.insert(target.name, link.into());
        let fact = Fact::link(&self.host.netns, target.name, Field::Kind);
        let to = self.host.get(&fact).value();
        changes.push(Change { fact, from: None, to });
        // A new device's initial settings are part of its creation, not changes of their own.
        let mut appeared = Vec::new();
        self.sysctls_appear(target.name, "ipv4", &mut appeared);
        self.sysctls_appear(target.name, "ipv6", &mut appeared);
    }

    /// Records the fields of a deleted device, which are needed to make it again.
    fn fields_vanish(&self, name: LinkName, gone: &Link, changes: &mut Vec<Change>) {
        const FIELDS: [Field; 8] = [
            Field::RpFilter,
            Field::Forwarding,
            Field::Forwarding6,
            Field::DisableIpv6,
            Field::Mtu,
            Field::TxQueueLength,
            Field::Alias,
            Field::Up,
        ];
        let addresses = gone.addresses.iter().map(|address| Field::Address(*address));
        let of_route = |(key, route): (&RouteKey, &Route)| {
            let (key, metrics) = (*key, route.metrics.keys().copied());
            let fields = metrics.map(|metric| Field::RouteMetric(key, metric));
            fields.collect::<Vec<_>>()
        };
        let routes = gone.routes.iter().flat_map(of_route);
        for field in addresses.chain(routes).chain(FIELDS) {
            let from = gone.get(field, self.host.families).value();
            changes.push(Change {
                fact: Fact::link(&self.host.netns, name, field),
                from,
                to: None,
            });
        }
    }

    /// Deletes a device, and the devices that depend on it: the other end of a veth, and upper
    /// devices.
    pub fn remove(&mut self, name: LinkName, changes: &mut Vec<Change>) {
        let fact = Fact::link(&self.host.netns, name, Field::Kind);
        let from = self.host.get(&fact).value();
        let going = self.stack.goes_with(name, &self.host);
        let bridge = self.stack.forget(name, &self.host);
        let mut vanished = Vec::new();
        for family in ["ipv4", "ipv6"] {
            self.sysctls_vanish(name, family, &mut vanished);
        }
        let Some(gone) = self.host.links.remove(&name) else {
            return;
        };
        self.addressed.remove(&name);
        for firm in self.firm.values_mut() {
            firm.remove(&name);
        }
        changes.push(Change { fact, from, to: None });
        self.fields_vanish(name, &gone, changes);
        if gone.kind_name() == "bridge" {
            for port in self.host.links.values_mut() {
                if port.master == Some(gone.index) {
                    Arc::make_mut(port).master = None;
                }
            }
        }
        if let Some((bridge, mtu)) = bridge {
            self.set_mtu(bridge, mtu, changes);
        }
        for other in going {
            self.remove(other, changes);
        }
    }

    /// Sets a device up or down. Down removes the IPv6 addresses (`addrconf_ifdown`), unless
    /// keep_addr_on_down is set. A VLAN follows its lower device (`vlan_device_event`,
    /// net/8021q/vlan.c).
    pub(crate) fn set_up(&mut self, name: LinkName, up: bool, changes: &mut Vec<Change>) {
        if self.host.links.get(&name).is_none_or(|link| link.up == up) {
            return;
        }
        self.set(name, Field::Up, changes, |link| link.up = up);
        if !up {
            let keeps = match self.all_and_own("ipv6", name, "keep_addr_on_down") {
                (0, own) => own > 0,
                (all, _) => all > 0,
            };
            let lost = |address: &IpNet| match address {
                IpNet::V6(net) => !keeps || net.addr().is_unicast_link_local(),
                IpNet::V4(_) => false,
            };
            self.lose(name, lost, changes);
            // `fib_disable_ip` and `rt6_disable_ip` delete them.
            self.lose_routes(name, |_| true, changes);
        }
        for vlan in self.stack.vlans(name, &self.host) {
            self.set_up(vlan, up, changes);
        }
    }

    /// Sets an MTU. Upper devices follow downwards but not upwards; a bridge follows its ports both
    /// ways; ports follow a bond.
    pub fn set_mtu(&mut self, name: LinkName, mtu: u32, changes: &mut Vec<Change>) {
        let Some(before) = self.host.links.get(&name).map(|link| link.mtu) else {
            return;
        };
        if before == mtu {
            return;
        }
        self.set(name, Field::Mtu, changes, |link| link.mtu = mtu);
        if crosses(before, mtu, IPV4_MIN_MTU) {
            self.lose_ipv4(name, changes);
            self.sysctls_vanish(name, "ipv4", changes);
        } else if crosses(mtu, before, IPV4_MIN_MTU) {
            self.sysctls_appear(name, "ipv4", changes);
        }
        if crosses(before, mtu, IPV6_MIN_MTU) {
            self.lose_ipv6(name, changes);
            // `addrconf_ifdown` keeps the settings of the loopback device.
            if name.as_bytes() != b"lo" {
                self.sysctls_vanish(name, "ipv6", changes);
            }
        } else if crosses(mtu, before, IPV6_MIN_MTU) && name.as_bytes() != b"lo" {
            self.sysctls_appear(name, "ipv6", changes);
        }
        if mtu >= IPV6_MIN_MTU {
            self.route_mtus_follow(name, before, mtu);
            self.routes_follow(name, before, mtu, changes);
        }
        if self.mtu_as_sysctl {
            let key = SysctlKey::conf("ipv6", name, "mtu");
            self.set_sysctl_if_read(&key, &mtu.to_string(), changes);
        }
        for (upper, mtu) in self.stack.mtu_changed(name, before, mtu, &self.host) {
            self.set_mtu(upper, mtu, changes);
        }
    }
}

impl Model {
    fn route_mtus_follow(&mut self, name: LinkName, before: u32, mtu: u32) {
        let follows = |route: &RouteMtu| route.follows(before, mtu);
        let link = self.host.links.get_mut(&name);
        if let Some(link) = link.filter(|link| link.route_mtus.iter().any(follows)) {
            let link = Arc::make_mut(link);
            let routes = std::mem::take(&mut link.route_mtus).into_iter();
            link.route_mtus = routes
                .map(|route| match follows(&route) {
                    true => RouteMtu { mtu, ..route },
                    false => route,
                })
                .collect();
        }
    }

    /// A route gets another MTU of its own, or loses it: each of its interfaces has it.
    pub(super) fn route_mtu_changes(&mut self, key: &RouteKey, to: Option<u32>) {
        let has = |link: &Arc<Link>| link.route_mtus.iter().any(|own| own.route == *key);
        for link in self.host.links.values_mut().filter(|link| has(link)) {
            let link = Arc::make_mut(link);
            let routes = std::mem::take(&mut link.route_mtus).into_iter();
            let changed = |own: RouteMtu| match own.route == *key {
                true => to.map(|mtu| RouteMtu { mtu, ..own }),
                false => Some(own),
            };
            link.route_mtus = routes.filter_map(changed).collect();
        }
    }

    /// An IPv6 route with its own MTU follows the interface if that MTU is larger, or was equal to the
    /// interface's (`rt6_mtu_change_route`, net/ipv6/route.c).
    fn routes_follow(&mut self, name: LinkName, before: u32, mtu: u32, changes: &mut Vec<Change>) {
        let routes = self.host.links.get(&name).map(|link| &link.routes);
        let follows = |key: &RouteKey, route: &Route| {
            let own = route.metrics.get(&Metric::Mtu);
            matches!(key.destination, IpNet::V6(_))
                && !route.locked.contains(&Metric::Mtu)
                && own.is_some_and(|own| *own >= mtu || *own == before)
        };
        let moved: Vec<RouteKey> = routes
            .into_iter()
            .flatten()
            .filter(|(key, route)| follows(key, route))
            .map(|(key, _)| *key)
            .collect();
        for key in moved {
            self.default_route_changes(name, key, Some(mtu));
            self.set(name, Field::RouteMetric(key, Metric::Mtu), changes, |link| {
                if let Some(route) = link.routes.get_mut(&key) {
                    route.set(Metric::Mtu, Some(mtu));
                }
            });
        }
    }

    /// Gives a default route of the main table another MTU, on which budgets depend. An old snapshot tells neither
    /// families nor metrics apart: a route by the same interface with the same MTU changes too.
    pub(crate) fn default_route_changes(&mut self, link: LinkName, key: RouteKey, to: Option<u32>) {
        if key.destination.prefix_len() != 0 || key.place() != RouteKey::new(key.destination) {
            return;
        }
        let route = self.host.links.get(&link).and_then(|link| link.routes.get(&key));
        let from = route.and_then(|route| route.metrics.get(&Metric::Mtu).copied());
        let family = Family::of(key.destination.addr());
        let is_it = |known: &DefaultRoute| {
            known.link == link
                && known.mtu == from
                && known.metric.is_none_or(|metric| metric == key.metric)
                && known.family.is_none_or(|known| known == family)
        };
        if let Some(routes) = &mut self.host.default_routes {
            let (changed, mut kept) = routes.iter().cloned().partition(is_it);
            let changed: BTreeSet<DefaultRoute> = changed;
            kept.extend(changed.into_iter().map(|route| DefaultRoute { mtu: to, ..route }));
            *routes = kept;
        }
    }

    /// Whether an op changes only its own fact, in every state of the plan: an MTU that no other
    /// device and no route follows, and that enables or disables neither IPv4 nor IPv6.
    pub fn changes_one_fact(&self, op: &Op) -> bool {
        match op {
            Op::SetMtu { target, mtu } => self.is_alone(target.name, *mtu),
            Op::SetPodMtu { target, mtu, .. } => {
                let link = self.host.link(target.name);
                link.and_then(|link| link.pod.as_ref())
                    .is_some_and(|pod| pod.routes.is_empty() && (pod.ipv6.is_empty() || *mtu >= IPV6_MIN_MTU))
            }
            _ => false,
        }
    }

    fn is_alone(&self, name: LinkName, mtu: u32) -> bool {
        let Some(link) = self.host.link(name) else {
            return false;
        };
        let between = |limit| crosses(link.mtu, mtu, limit) || crosses(mtu, link.mtu, limit);
        let own_mtu6 = self.mtu_as_sysctl
            && self
                .host
                .sysctls
                .contains_key(&SysctlKey::conf("ipv6", name, "mtu"));
        !own_mtu6
            && link.master.is_none()
            && link.routes.is_empty()
            && !self.stack.carries(link)
            && !between(IPV4_MIN_MTU)
            && !between(IPV6_MIN_MTU)
    }
}

/// Whether the MTU falls below a limit.
fn crosses(from: u32, to: u32, limit: u32) -> bool {
    from >= limit && to < limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use netkeel_core::name::netns::Netns;
    use netkeel_core::name::sandbox::Sandbox;
    use netkeel_core::op::PodTarget;

    /// The op that gives the pod of a host this MTU, and the model of the host.
    fn pod_mtu(routes: &[&str], ipv6: &[&str], mtu: u32) -> (Model, Op) {
        let route = |destination: &&str| ((*destination).to_owned(), serde_json::json!({ "mtu": 1460 }));
        let routes: serde_json::Map<String, serde_json::Value> = routes.iter().map(route).collect();
        let pod =
            serde_json::json!({ "index": 3, "name": "eth0", "mtu": 1460, "routes": routes, "ipv6": ipv6 });
        let link = Link {
            index: 9,
            mtu: 1460,
            kind: Some("veth".into()),
            peer_netns: Some(0),
            pod: serde_json::from_value(pod).unwrap(),
            ..Link::default()
        };
        let name = "cali1".parse().unwrap();
        let mut host = Snapshot::empty(Netns::CURRENT);
        host.links.insert(name, link.into());
        let op = Op::SetPodMtu {
            target: Target {
                netns: Netns::CURRENT,
                index: 9,
                name,
            },
            pod: Box::new(PodTarget {
                sandbox: Sandbox::new("/run/netns/pod1".into(), 7),
                index: 3,
                name: "eth0".parse().unwrap(),
            }),
            mtu,
        };
        (Model::new(host), op)
    }

    #[test]
    fn the_mtu_of_a_pod_changes_one_fact_unless_routes_or_ipv6_addresses_follow() {
        for (routes, ipv6, mtu, alone) in [
            (&[][..], &[][..], 1400, true),
            (&[], &[], 1000, true),
            (&[], &["2001:db8::1/64"], 1400, true),
            (&[], &["2001:db8::1/64"], 1000, false),
            (&["2001:db8::/64"], &[], 1400, false),
        ] {
            let (mut model, op) = pod_mtu(routes, ipv6, mtu);
            assert_eq!(model.changes_one_fact(&op), alone, "{routes:?} {ipv6:?} {mtu}");
            assert_eq!(model.apply(&op).len() == 1, alone, "{routes:?} {ipv6:?} {mtu}");
        }
    }

    #[test]
    fn a_route_by_two_interfaces_has_one_mtu() {
        let key: RouteKey = "0.0.0.0/0".parse().unwrap();
        let own = |mtu| RouteMtu {
            mtu,
            route: key,
            locked: false,
        };
        let mut host = Snapshot::empty(Netns::CURRENT);
        for name in ["eth0", "eth1"] {
            let link = Link {
                route_mtus: [own(9000)].into(),
                ..Link::default()
            };
            host.links.insert(name.parse().unwrap(), link.into());
        }
        let mut model = Model::new(host);
        let mtus = |model: &Model| -> Vec<u32> {
            let links = model.host.links.values();
            links
                .flat_map(|link| link.route_mtus.iter().map(|own| own.mtu))
                .collect()
        };
        model.route_mtu_changes(&key, Some(1500));
        assert_eq!(mtus(&model), [1500, 1500]);
        model.route_mtu_changes(&key, None);
        assert_eq!(mtus(&model), [0; 0]);
    }
}
