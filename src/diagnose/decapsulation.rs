//! Why a host does not answer an encapsulated SYN, from a snapshot of it.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::path::lookup::Host;
use netkeel_core::name::link::LinkName;
use netkeel_core::rp_filter::{Decider, Verdict};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::{Family, PathRoute, RouteTarget};
use netkeel_host::snapshot::link::Link;
use netkeel_mtu::probe::encapsulated::{Encapsulated, Encapsulation};

/// A setting of the host that drops the packet, or the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// No interface has the outer destination.
    OuterNotLocal {
        /// The outer destination.
        address: IpAddr,
    },
    /// No device decapsulates.
    NoTunnel {
        /// The rtnetlink kind of a device that would.
        kind: &'static str,
    },
    /// The device that decapsulates is down, and the kernel skips it.
    TunnelDown {
        /// The device.
        link: LinkName,
    },
    /// rp_filter drops what the device decapsulates.
    RpFilter {
        /// The device.
        link: LinkName,
        /// The effective value: the larger one of `all` and the device's own.
        value: i64,
        /// `all` decides it.
        by_all: bool,
        /// Loose mode has no effect, because the device has no IPv4 address.
        no_address: bool,
    },
    /// No route leads to the source of the SYN, so that no answer can leave.
    NoRouteBack {
        /// The source of the SYN.
        to: IpAddr,
    },
    /// The service's address is on no interface, and the host does not forward what the device decapsulates.
    ForwardingOff {
        /// The device.
        link: LinkName,
    },
    /// The service's address is on no interface, and no route leads to it.
    NoRoute {
        /// The service's address.
        to: IpAddr,
    },
}

/// A fact that the snapshot does not show. Each may be the reason too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "unchecked", rename_all = "kebab-case")]
pub enum Unchecked {
    /// The interfaces, or their addresses of an IP version, were not read.
    Addresses,
    /// The routes were not read as a whole.
    Routes,
    /// Rules select other tables than the main one, or were not read.
    Rules,
    /// rp_filter of this device.
    RpFilter {
        /// The device.
        link: LinkName,
    },
    /// Whether the host forwards what this device receives.
    Forwarding {
        /// The device.
        link: LinkName,
    },
    /// Whether the addresses of this tunnel fit the outer header: a snapshot does not hold them.
    TunnelEndpoints {
        /// The device.
        link: LinkName,
    },
    /// The service's address is on no interface: the packet is forwarded, or an address translation rewrites it.
    Forwarded {
        /// The service's address.
        to: IpAddr,
    },
    /// Firewall rules, policies of pods and address translation: a snapshot holds none of them.
    Firewall,
}

/// The explanation of a failure, in the order in which the host handles the packet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Explanation {
    /// The settings that drop the packet or its answer.
    pub reasons: Vec<Reason>,
    /// The facts that could not be judged.
    pub unchecked: Vec<Unchecked>,
}

/// Judges the snapshot of the host that should decapsulate the packet. The packet must be one that
/// [`Encapsulation::of`] knows; of any other, nothing is judged.
pub fn explain(snapshot: &Snapshot, packet: &Encapsulated) -> Explanation {
    let mut judge = Judge {
        host: Host::new(snapshot),
        packet,
        found: Explanation::default(),
    };
    if let Some(encapsulation) = Encapsulation::of(packet.outer_dst, packet.inner_dst) {
        judge.outer();
        let tunnel = judge.tunnel(encapsulation);
        if let (Some(link), true) = (tunnel, encapsulation.carries_ipv4()) {
            judge.rp_filter(link);
        }
        judge.service(tunnel);
        judge.way_back();
    }
    judge.found.unchecked.push(Unchecked::Firewall);
    judge.found
}

struct Judge<'a> {
    host: Host<'a>,
    packet: &'a Encapsulated,
    found: Explanation,
}

impl Judge<'_> {
    fn reason(&mut self, reason: Reason) {
        self.found.reasons.push(reason);
    }

    fn unchecked(&mut self, what: Unchecked) {
        if !self.found.unchecked.contains(&what) {
            self.found.unchecked.push(what);
        }
    }

    /// Whether an interface has an address; `None` where they were not read.
    fn has(&self, address: IpAddr) -> Option<bool> {
        let families = self.host.snapshot.families;
        let read = match address {
            IpAddr::V4(_) => families.ipv4,
            IpAddr::V6(_) => families.ipv6,
        };
        match self.host.holder(address) {
            Some(_) => Some(true),
            None => (read && !self.host.snapshot.links.is_empty()).then_some(false),
        }
    }

    fn outer(&mut self) {
        let address = self.packet.outer_dst;
        match self.has(address) {
            Some(true) => {}
            Some(false) => self.reason(Reason::OuterNotLocal { address }),
            None => self.unchecked(Unchecked::Addresses),
        }
    }

    /// The device that decapsulates.
    fn tunnel(&mut self, encapsulation: Encapsulation) -> Option<LinkName> {
        let links = &self.host.snapshot.links;
        if links.is_empty() {
            self.unchecked(Unchecked::Addresses);
            return None;
        }
        let kind = encapsulation.kind();
        let tunnels: Vec<(LinkName, &Link)> = links
            .iter()
            .map(|(name, link)| (*name, link.as_ref()))
            .filter(|(_, link)| link.kind_name() == kind)
            .collect();
        let takes_all = |name: &LinkName, link: &Link| {
            link.external || name.as_bytes() == encapsulation.fallback().as_bytes()
        };
        // A tunnel with addresses goes before those that take every packet.
        for (link, _) in tunnels
            .iter()
            .filter(|(name, link)| link.up && !takes_all(name, link))
        {
            self.unchecked(Unchecked::TunnelEndpoints { link: *link });
        }
        // Of several that take every packet, the one that was added last gets them: `ip_tunnel_lookup`
        // (net/ipv4/ip_tunnel.c).
        let all = tunnels.iter().filter(|(name, link)| takes_all(name, link));
        let taking = all.clone().filter(|(_, link)| link.up);
        if let Some((name, _)) = taking.max_by_key(|(_, link)| link.index) {
            return Some(*name);
        }
        if tunnels.iter().any(|(_, link)| link.up) {
            return None;
        }
        // The kernel makes the fallback device by itself, so that it says nothing about what was set up.
        let down = all.clone().find(|(_, link)| link.external);
        match down {
            Some((link, _)) => self.reason(Reason::TunnelDown { link: *link }),
            None => self.reason(Reason::NoTunnel { kind }),
        }
        None
    }

    /// rp_filter asks for the route to the source of the SYN.
    fn rp_filter(&mut self, link: LinkName) {
        let Some(effective) = self.host.rp_filter(link) else {
            self.unchecked(Unchecked::RpFilter { link });
            return;
        };
        if effective.value <= 0 {
            return;
        }
        if self.host.has_other_rules(Family::Ipv4) {
            self.unchecked(Unchecked::Rules);
            return;
        }
        let drops = Reason::RpFilter {
            link,
            value: effective.value,
            by_all: effective.decided_by == Decider::All,
            no_address: effective.verdict == Verdict::DropNoAddress,
        };
        match self.host.route(self.packet.inner_src) {
            None => self.unchecked(Unchecked::Routes),
            Some(Some(route)) if matches!(route.to, RouteTarget::Elsewhere) => {
                self.unchecked(Unchecked::Routes);
            }
            Some(Some(route)) if route.hops().iter().any(|hop| hop.link == link) => {}
            // The missing route is a reason of its own.
            Some(None) => {}
            Some(Some(route)) if leads_nowhere(route) => {}
            Some(Some(_)) => {
                if effective.verdict != Verdict::Accept {
                    self.reason(drops);
                }
            }
        }
    }

    /// Delivery of the SYN.
    fn service(&mut self, tunnel: Option<LinkName>) {
        let to = self.packet.inner_dst;
        match self.has(to) {
            Some(true) => return,
            None => {
                self.unchecked(Unchecked::Addresses);
                return;
            }
            Some(false) => self.unchecked(Unchecked::Forwarded { to }),
        }
        let family = Family::of(to);
        if let Some(link) = tunnel {
            match self.host.forwards(family, link) {
                Some(true) => {}
                Some(false) => self.reason(Reason::ForwardingOff { link }),
                None => self.unchecked(Unchecked::Forwarding { link }),
            }
        }
        self.must_lead(to, Reason::NoRoute { to });
    }

    /// The answer of the service.
    fn way_back(&mut self) {
        let to = self.packet.inner_src;
        self.must_lead(to, Reason::NoRouteBack { to });
    }

    /// A route must lead to an address.
    fn must_lead(&mut self, to: IpAddr, otherwise: Reason) {
        if self.host.has_other_rules(Family::of(to)) {
            self.unchecked(Unchecked::Rules);
            return;
        }
        match self.host.route(to) {
            None => self.unchecked(Unchecked::Routes),
            Some(None) => self.reason(otherwise),
            Some(Some(route)) if leads_nowhere(route) => self.reason(otherwise),
            Some(Some(_)) => {}
        }
    }
}

fn leads_nowhere(route: &PathRoute) -> bool {
    matches!(route.to, RouteTarget::Nowhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_host::snapshot::forwarding::Forwarding;

    /// A realserver with ipip0 and the service's address on lo, which is otherwise right.
    fn host() -> serde_json::Value {
        serde_json::json!({
            "format": 1, "netns": null, "kernel": "6.1",
            "families": { "ipv4": true, "ipv6": true },
            "sysctls": { "net/ipv4/conf/all/rp_filter": { "value": "0", "writable": true } },
            "links": {
                "lo": { "index": 1, "up": true, "addresses": ["203.0.113.9/32"] },
                "eth0": { "index": 2, "up": true, "addresses": ["192.0.2.2/24"], "rp_filter": 1 },
                "tunl0": { "index": 3, "kind": "ipip", "rp_filter": 0 },
                "ipip0": { "index": 4, "kind": "ipip", "external": true, "up": true, "rp_filter": 0, "forwarding": 0 },
            },
            "forwarding": {
                "routes": { "routes": [
                    { "destination": "0.0.0.0/0", "metric": 0, "to": { "hops": [{ "link": "eth0", "via": "192.0.2.1" }] } },
                ] },
                "other_rules": [],
            },
        })
    }

    fn judged(host: serde_json::Value) -> Explanation {
        let snapshot = Snapshot::from_json(&host.to_string()).unwrap();
        let address = |text: &str| text.parse().unwrap();
        let packet = Encapsulated {
            outer_src: address("198.51.100.1"),
            outer_dst: address("192.0.2.2"),
            inner_src: address("198.51.100.1"),
            inner_dst: address("203.0.113.9"),
            port: 80,
        };
        explain(&snapshot, &packet)
    }

    fn link(name: &str) -> LinkName {
        name.parse().unwrap()
    }

    #[test]
    fn nothing_is_blamed_where_nothing_is_wrong() {
        let found = judged(host());
        assert_eq!(
            (found.reasons, found.unchecked),
            (vec![], vec![Unchecked::Firewall])
        );
    }

    #[test]
    fn one_wrong_setting_is_one_reason() {
        let reason = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut changed = host();
            change(&mut changed);
            judged(changed).reasons
        };
        let ipip0 = link("ipip0");
        let filter = |value, no_address| Reason::RpFilter {
            link: ipip0,
            value,
            by_all: false,
            no_address,
        };
        let set = |value: i32| reason(&|host| host["links"]["ipip0"]["rp_filter"] = value.into());
        assert_eq!(set(1), [filter(1, false)]);
        assert_eq!(set(2), [filter(2, true)]);
        assert_eq!(
            reason(&|host| {
                host["links"]["ipip0"]["rp_filter"] = 2.into();
                host["links"]["ipip0"]["addresses"] = serde_json::json!(["127.0.0.42/32"]);
            }),
            []
        );
        assert_eq!(
            reason(&|host| host["links"]["ipip0"]["up"] = false.into()),
            [Reason::TunnelDown { link: ipip0 }]
        );
        assert_eq!(
            reason(&|host| drop(host["links"].as_object_mut().unwrap().remove("ipip0"))),
            [Reason::NoTunnel { kind: "ipip" }]
        );
        assert_eq!(
            reason(&|host| host["links"]["lo"]["addresses"] = serde_json::json!([])),
            [Reason::ForwardingOff { link: ipip0 }]
        );
        assert_eq!(
            reason(&|host| host["links"]["eth0"]["addresses"] = serde_json::json!([])),
            [Reason::OuterNotLocal {
                address: "192.0.2.2".parse().unwrap()
            }]
        );
        assert_eq!(
            reason(&|host| host["forwarding"]["routes"]["routes"] = serde_json::json!([])),
            [Reason::NoRouteBack {
                to: "198.51.100.1".parse().unwrap()
            }]
        );
    }

    #[test]
    fn the_fallback_device_takes_packets_while_it_is_up() {
        let mut host = host();
        host["links"].as_object_mut().unwrap().remove("ipip0");
        host["links"]["tunl0"]["up"] = true.into();
        assert_eq!(judged(host).reasons, []);
    }

    #[test]
    fn what_was_not_read_is_never_a_reason() {
        let mut snapshot = Snapshot::from_json(&host().to_string()).unwrap();
        snapshot.sysctls.clear();
        snapshot.families = Default::default();
        snapshot.forwarding = Some(Box::new(Forwarding::default()));
        snapshot.links.retain(|name, _| *name == link("ipip0"));
        let json = serde_json::to_value(&snapshot).unwrap();
        let found = judged(json);
        assert_eq!(found.reasons, []);
        let rp_filter = Unchecked::RpFilter { link: link("ipip0") };
        assert_eq!(
            found.unchecked,
            [
                Unchecked::Addresses,
                rp_filter,
                Unchecked::Rules,
                Unchecked::Firewall
            ]
        );
        let mut nothing = host();
        nothing["links"] = serde_json::json!({});
        assert_eq!(judged(nothing).reasons, []);
    }
}
