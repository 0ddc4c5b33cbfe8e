//! The devices below the one by which packets leave: lower devices, bridges and their ports, other ends of
//! veths.

use crate::path::hop::{Above, Cause, Hop, Place, Role};
use crate::path::origin::Destination;
use crate::path::unknown::Unknown;
use crate::path::walk::{MOST_HOPS, TAG, Walk, Way, blank};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::Link;

impl<'a> Walk<'a> {
    /// Follows packets from a device downward to the network.
    pub(crate) fn below(&mut self, at: usize, name: LinkName, link: &'a Link) {
        if self.hops.len() >= MOST_HOPS {
            self.unknown.insert(Unknown::Below(name));
            return;
        }
        let master = link.master.and_then(|master| self.host.by_index(master));
        if let Some((master, of)) = master {
            match of.kind_name() {
                "vrf" => drop(self.unknown.insert(Unknown::Rules)),
                "openvswitch" => drop(self.unknown.insert(Unknown::OpenVswitch(name))),
                _ if master.as_bytes() == b"ovs-system" => {
                    self.unknown.insert(Unknown::OpenVswitch(name));
                }
                _ => {}
            }
        }
        match link.kind_name() {
            _ if link.is_tunnel() => self.tunnel(at, name, link),
            "vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap" => self.lower(name, link),
            "veth" => self.other_end(at, name, link),
            "bridge" => self.out_of_bridge(name, link, None),
            "bond" | "team" => self.bond(at, link),
            "openvswitch" => drop(self.unknown.insert(Unknown::OpenVswitch(name))),
            // A line of its own, without headers that are known here.
            "physical" | "dummy" | "ipoib" | "ppp" | "rmnet" | "wwan" => self.network_behind(at, link.mtu),
            // A program, a virtual machine, another namespace or a device of an unknown kind takes them.
            _ => {
                self.unknown.insert(Unknown::Below(name));
                self.network_behind(at, link.mtu);
            }
        }
    }

    /// A device on top of another one. Its MTU may be larger, and then a driver decides.
    fn lower(&mut self, name: LinkName, link: &Link) {
        let lower = link.lower.filter(|_| link.peer_netns.is_none());
        let Some((lower, below)) = lower.and_then(|index| self.host.by_index(index)) else {
            self.unknown.insert(Unknown::Below(name));
            return;
        };
        let at = self.device(lower, below, Role::Lower);
        if below.mtu < link.mtu {
            self.limit(at, Way::Out, below.mtu, Above::MayBeDropped(Cause::LowerDevice));
        }
        self.below(at, lower, below);
    }

    fn bond(&mut self, at: usize, bond: &Link) {
        let ports = self.hops.get(at).map(|hop| hop.ports.clone()).unwrap_or_default();
        let least = ports
            .first()
            .map(|port| port.mtu)
            .filter(|least| *least < bond.mtu);
        self.network_behind(at, bond.mtu);
        if let Some(least) = least {
            self.limit(at, Way::Out, least, Above::MayBeDropped(Cause::LowerDevice));
        }
    }

    /// The other end of a veth by which packets leave.
    fn other_end(&mut self, at: usize, name: LinkName, link: &'a Link) {
        self.limit(at, Way::Back, link.mtu + TAG, Above::Dropped(Cause::VethEnd));
        if link.peer_netns.is_some() {
            let Some(end) = &link.pod else {
                self.unknown.insert(Unknown::OtherEnd(name));
                return;
            };
            let forwarding = self.host.forwarding.and_then(|found| found.pods.get(&name));
            if forwarding.is_some_and(|pod| pod.other_rules.contains(&self.family)) {
                self.unknown.insert(Unknown::PodRoutes(name));
            }
            let default = forwarding.and_then(|pod| pod.routes.defaults(self.family).first().copied());
            let other = self.push(Hop {
                kind: "veth".into(),
                mtu: Some(end.mtu),
                ..blank(end.name, Place::Beyond, Role::OtherEnd)
            });
            self.limit(other, Way::Out, end.mtu + TAG, Above::Dropped(Cause::VethEnd));
            let sends = default.and_then(|route| route.mtu).unwrap_or(end.mtu);
            return self.network_behind(other, sends);
        }
        let Some((peer, end)) = link.lower.and_then(|index| self.host.by_index(index)) else {
            self.unknown.insert(Unknown::OtherEnd(name));
            return;
        };
        let other = self.device(peer, end, Role::OtherEnd);
        self.limit(other, Way::Out, end.mtu + TAG, Above::Dropped(Cause::VethEnd));
        match end.master.and_then(|master| self.host.by_index(master)) {
            Some((bridge, master)) if master.kind_name() == "bridge" => {
                self.by_port(other, Way::Back, end.mtu, Some(bridge));
                self.switch(bridge, master, peer);
            }
            Some(_) => drop(self.unknown.insert(Unknown::Below(peer))),
            None => self.network_behind(other, end.mtu),
        }
    }

    /// Frames that pass a bridge from one port to another. The bridge's own MTU does not count.
    pub(crate) fn switch(&mut self, bridge: LinkName, master: &'a Link, from: LinkName) {
        self.device(bridge, master, Role::Switch);
        self.out_of_bridge(bridge, master, Some(from));
    }

    /// The port by which a bridge sends. It drops larger frames without an answer.
    fn out_of_bridge(&mut self, bridge: LinkName, master: &'a Link, from: Option<LinkName>) {
        if self.hops.len() >= MOST_HOPS {
            self.unknown.insert(Unknown::Below(bridge));
            return;
        }
        let Some((port, link)) = self.port(bridge, master, from) else {
            self.unknown.insert(Unknown::Port(bridge));
            return;
        };
        let at = self.device(port, link, Role::Port);
        self.by_port(at, Way::Out, link.mtu, from.map(|_| bridge));
        self.below(at, port, link);
    }

    /// The port that leads to the destination: the one of a known pod, else the one that leads to no pod. Of
    /// several, the smallest is drawn; where their MTUs differ, the one that counts is not known.
    fn port(
        &mut self,
        bridge: LinkName,
        master: &Link,
        from: Option<LinkName>,
    ) -> Option<(LinkName, &'a Link)> {
        let snapshot = self.host.snapshot;
        let ports = snapshot
            .links
            .iter()
            .filter(|(name, link)| link.master == Some(master.index) && Some(**name) != from);
        let ports: Vec<(LinkName, &'a Link)> = ports.map(|(name, link)| (*name, link.as_ref())).collect();
        if let Destination::Address(address) = self.destination {
            let holds = |name: &LinkName| {
                let pod = self.host.forwarding.and_then(|found| found.pods.get(name));
                pod.is_some_and(|pod| pod.addresses.iter().any(|own| own.addr() == address))
            };
            if let Some(found) = ports.iter().find(|(name, _)| holds(name)) {
                return Some(*found);
            }
        }
        let mut outward: Vec<(LinkName, &'a Link)> = ports
            .iter()
            .copied()
            .filter(|(_, link)| !self.leads_to_pod(link))
            .collect();
        if outward.is_empty() {
            outward = ports;
        }
        outward.sort_by_key(|(name, link)| (link.mtu, *name));
        let (least, most) = (outward.first()?, outward.last()?);
        if least.1.mtu != most.1.mtu {
            self.unknown.insert(Unknown::Port(bridge));
        }
        Some(*least)
    }

    /// Whether a bridge port leads to a pod: a namespace whose own default route does not leave the bridge's
    /// network by another interface.
    fn leads_to_pod(&self, link: &Link) -> bool {
        link.peer_netns.is_some() && !self.is_gateway(link)
    }

    /// Whether the other end of a port has the address of the gateway of a pod at the same bridge.
    fn is_gateway(&self, port: &Link) -> bool {
        let Some(forwarding) = self.host.forwarding else {
            return false;
        };
        let named = self.host.by_index(port.index).map(|(name, _)| name);
        let Some(pod) = named.and_then(|name| forwarding.pods.get(&name)) else {
            return false;
        };
        let gateways = self.hops.iter().filter_map(|hop| hop.route.as_ref()?.via);
        let mut gateways = gateways.filter(|via| Family::of(*via) == self.family);
        gateways.any(|via| pod.addresses.iter().any(|own| own.addr() == via))
    }
}
