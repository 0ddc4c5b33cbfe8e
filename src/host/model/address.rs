//! Addresses in the model: which ones the kernel deletes together with another address or with
//! IPv6.

use ipnet::IpNet;

use crate::model::{Change, Model};
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::RouteKey;

impl Model {
    pub(crate) fn add_address(&mut self, name: LinkName, address: IpNet, changes: &mut Vec<Change>) {
        let Some(link) = self.host.link_mut(name) else {
            return;
        };
        if let IpNet::V4(_) = address {
            // `ipv4_devconf_setall`: an interface has its own settings from its first address on,
            // even after that address is deleted.
            self.addressed.insert(name);
            let primary = link.addresses.iter().any(|other| {
                *other != address && same_subnet(other, &address) && !link.secondary.contains(other)
            });
            if primary && !link.addresses.contains(&address) {
                link.secondary.insert(address);
            }
        }
        self.set(name, Field::Address(address), changes, |link| {
            link.addresses.insert(address);
        });
    }

    /// Deleting a primary IPv4 address deletes the secondary addresses of its subnet, unless
    /// promote_secondaries is set (`__inet_del_ifa`, net/ipv4/devinet.c). If promote_secondaries
    /// was not read, the kernel's default, off, is assumed.
    pub(crate) fn remove_address(&mut self, name: LinkName, address: IpNet, changes: &mut Vec<Change>) {
        self.drop_address(name, address, changes);
        let promotes = self.all_and_own("ipv4", name, "promote_secondaries") != (0, 0);
        let Some(link) = self.host.link_mut(name) else {
            return;
        };
        if link.secondary.remove(&address) {
            return;
        }
        let others: Vec<IpNet> = link
            .secondary
            .iter()
            .filter(|other| same_subnet(other, &address))
            .copied()
            .collect();
        if promotes {
            // The kernel promotes the one that was added first; a set does not keep that order.
            others.first().map(|first| link.secondary.remove(first));
            return;
        }
        for other in others {
            self.drop_address(name, other, changes);
            if let Some(link) = self.host.link_mut(name) {
                link.secondary.remove(&other);
            }
        }
    }

    pub(crate) fn lose_ipv6(&mut self, name: LinkName, changes: &mut Vec<Change>) {
        self.lose(name, |address| matches!(address, IpNet::V6(_)), changes);
        self.lose_routes(name, |key| matches!(key.destination, IpNet::V6(_)), changes);
    }

    pub(crate) fn lose_ipv4(&mut self, name: LinkName, changes: &mut Vec<Change>) {
        self.lose(name, |address| matches!(address, IpNet::V4(_)), changes);
        self.lose_routes(name, |key| matches!(key.destination, IpNet::V4(_)), changes);
        if let Some(link) = self.host.link_mut(name) {
            link.secondary.clear();
        }
    }

    pub(crate) fn lose(&mut self, name: LinkName, which: impl Fn(&IpNet) -> bool, changes: &mut Vec<Change>) {
        let Some(link) = self.host.links.get(&name) else {
            return;
        };
        let lost: Vec<IpNet> = link
            .addresses
            .iter()
            .filter(|address| which(address))
            .copied()
            .collect();
        for address in lost {
            self.drop_address(name, address, changes);
        }
    }

    fn drop_address(&mut self, name: LinkName, address: IpNet, changes: &mut Vec<Change>) {
        self.set(name, Field::Address(address), changes, |link| {
            link.addresses.remove(&address);
        });
        let Some(link) = self.host.links.get(&name) else {
            return;
        };
        // The last IPv4 address takes all IPv4 routes with it (`fib_inetaddr_event`,
        // net/ipv4/fib_frontend.c); the last one of a subnet takes the route to the subnet.
        let last_ipv4 = matches!(address, IpNet::V4(_)) && !link.has_ipv4();
        let subnet = address.trunc();
        let last_of_subnet = !link.addresses.iter().any(|other| other.trunc() == subnet);
        let goes = |key: &RouteKey| match key.destination {
            IpNet::V4(_) if last_ipv4 => true,
            destination => last_of_subnet && destination == subnet,
        };
        self.lose_routes(name, goes, changes);
    }

    /// Deletes routes over an interface. A route with several next hops loses only one of them in the
    /// kernel; the model deletes it.
    pub(crate) fn lose_routes(
        &mut self,
        name: LinkName,
        goes: impl Fn(&RouteKey) -> bool,
        changes: &mut Vec<Change>,
    ) {
        let Some(link) = self.host.links.get(&name) else {
            return;
        };
        let has_mtu = link.route_mtus.iter().any(|own| goes(&own.route));
        let lost: Vec<RouteKey> = link.routes.keys().filter(|key| goes(key)).copied().collect();
        if has_mtu && let Some(link) = self.host.link_mut(name) {
            link.route_mtus.retain(|own| !goes(&own.route));
        }
        for key in lost {
            let Some(route) = self.host.link_mut(name).and_then(|link| link.routes.remove(&key)) else {
                continue;
            };
            for (metric, bytes) in route.metrics {
                changes.push(Change {
                    fact: Fact::link(&self.host.netns, name, Field::RouteMetric(key, metric)),
                    from: Some(Value::Number(bytes.into())),
                    to: None,
                });
            }
        }
    }
}

/// Same mask and same network, as in `inet_ifa_match`.
fn same_subnet(one: &IpNet, other: &IpNet) -> bool {
    matches!((one, other), (IpNet::V4(_), IpNet::V4(_))) && one.trunc() == other.trunc()
}
