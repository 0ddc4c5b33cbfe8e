//! Follows packets from their origin outward: out of a pod, into the host, and out by a route.

use std::net::IpAddr;

use crate::path::gateway::{Answered, Gateway, Silence};
use crate::path::hop::{Above, Cause, Hop, Place, Role};
use crate::path::ingress::Sources;
use crate::path::origin::Destination;
use crate::path::unknown::Unknown;
use crate::path::walk::{TAG, Walk, Way, blank, step};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::RouteKey;
use netkeel_host::snapshot::forwarding::{
    Family, NeighbourState, NextHop, PathRoute, PodForwarding, RouteTarget,
};
use netkeel_host::snapshot::link::Link;

impl<'a> Walk<'a> {
    /// Follows packets from the pod at a veth or netkit device.
    pub(crate) fn follow_pod(&mut self, name: LinkName, link: &'a Link) {
        let host = self.host;
        let pod = host.forwarding.and_then(|found| found.pods.get(&name));
        let complete = |pod: &PodForwarding| !pod.other_rules.contains(&self.family);
        if !pod.is_some_and(complete) {
            self.unknown.insert(Unknown::PodRoutes(name));
        }
        let route = pod.and_then(|pod| self.pod_route(name, pod));
        // Of several next hops, one by this veth is drawn.
        let end = link.pod.as_ref().map(|end| end.name);
        let hop = route.and_then(|route| {
            let mut hops = route.hops().iter();
            let by = hops.clone().find(|hop| Some(hop.link) == end);
            by.or_else(|| hops.next())
        });
        self.chooses(route);
        let sends = self.sender(name, link, pod, route, hop);
        let bridge = link.master.and_then(|master| host.by_index(master));
        let role = match bridge {
            Some(_) => Role::Port,
            None => Role::HostEnd,
        };
        let at = self.device(name, link, role);
        self.taken_in(at, Way::Out, link, link.mtu);
        let gateway = hop.and_then(|hop| hop.via);
        let addresses: Vec<IpAddr> =
            pod.map_or_else(Vec::new, |pod| sources(pod, self.family, route, gateway));
        let arrives = match bridge {
            Some((bridge, master)) if master.kind_name() == "bridge" => {
                let routed = match (pod, gateway) {
                    (None, _) => !master.addresses.is_empty(),
                    (Some(_), Some(gateway)) => host.holder(gateway).is_some(),
                    (Some(_), None) => self.is_local(),
                };
                self.by_port(at, Way::Back, link.mtu, (!routed).then_some(bridge));
                if !routed {
                    self.gateway_on_the_network(sends, gateway, pod);
                    return self.switch(bridge, master, name);
                }
                Some((self.device(bridge, master, Role::Bridge), bridge, master))
            }
            Some((other, _)) => {
                self.unknown.insert(match other.as_bytes() {
                    b"ovs-system" => Unknown::OpenVswitch(name),
                    _ => Unknown::Below(name),
                });
                return;
            }
            None => {
                let cilium = host
                    .snapshot
                    .links
                    .keys()
                    .any(|name| name.as_bytes() == b"cilium_host");
                // Where another CNI makes the pods (chaining), their devices have its names.
                if cilium {
                    self.unknown.insert(Unknown::Cilium(name));
                }
                Some((at, name, link))
            }
        };
        let Some((at, arrives, device)) = arrives else {
            return;
        };
        if let (Some(gateway), Some(pod)) = (gateway, pod) {
            let mut gateway = Gateway::of_pod(host, &pod.neighbours, gateway, arrives);
            // In its usual mode (L3) a netkit device asks for no address, and the mode was not read.
            if link.kind_name() == "netkit" && matches!(gateway.answered, Answered::Nobody(_)) {
                gateway.answered = Answered::Unknown;
            }
            self.answered(sends, arrives, gateway);
        }
        self.arrives(at, arrives, Way::Out, Sources::These(&addresses));
        let local = self.is_local();
        if !local {
            self.must_forward(at, arrives, Way::Out);
        }
        self.route_to_pod(at, arrives, device, &addresses);
        let above = match self.is_mute {
            true => Above::Dropped(Cause::NoRouteForAnswer),
            false => Above::PacketTooBig,
        };
        self.leave(above, true);
    }

    /// A veth drops what is larger than the MTU of the end that takes it in. A netkit device compares nothing
    /// (`netkit_xmit`, drivers/net/netkit.c).
    fn taken_in(&mut self, at: usize, way: Way, link: &Link, mtu: u32) {
        if link.kind_name() != "netkit" {
            self.limit(at, way, mtu + TAG, Above::Dropped(Cause::VethEnd));
        }
    }

    /// The pod's own route to the destination.
    fn pod_route(&mut self, name: LinkName, pod: &'a PodForwarding) -> Option<&'a PathRoute> {
        match self.destination {
            Destination::Address(address) => match pod.routes.to(address) {
                Ok(route) => route,
                Err(_) => {
                    self.unknown.insert(Unknown::PodRoutes(name));
                    None
                }
            },
            Destination::Default | Destination::Through(_) | Destination::Senders(_) => {
                pod.routes.defaults(self.family).first().copied()
            }
        }
    }

    /// Adds the pod's end of the device.
    fn sender(
        &mut self,
        name: LinkName,
        link: &Link,
        pod: Option<&PodForwarding>,
        route: Option<&PathRoute>,
        hop: Option<&NextHop>,
    ) -> usize {
        let Some(end) = &link.pod else {
            self.unknown.insert(Unknown::OtherEnd(name));
            return self.push(Hop {
                kind: link.kind_name().into(),
                ..blank(name, Place::Origin, Role::Sender)
            });
        };
        let own = route.and_then(|route| {
            let key = RouteKey {
                metric: route.metric,
                ..RouteKey::new(route.destination)
            };
            // The plan changes this copy.
            end.routes.get(&key).map(|planned| planned.mtu).or(route.mtu)
        });
        // The MTU of a route goes before that of IPv6 (`ip6_mtu_from_fib6`, net/ipv6/route.c).
        let device = match (self.family, end.mtu6) {
            (Family::Ipv6, Some(mtu6)) => mtu6.min(end.mtu),
            _ => end.mtu,
        };
        let at = self.push(Hop {
            kind: link.kind_name().into(),
            mtu: Some(end.mtu),
            route: route.map(|route| step(route, hop, own, end.mtu)),
            ..blank(end.name, Place::Origin, Role::Sender)
        });
        self.needs_ipv6(at, end.mtu);
        let rules = pod.is_none_or(|pod| pod.other_rules.contains(&self.family));
        let known = pod.is_some_and(|pod| !pod.routes.more) && !rules;
        match route.map(|route| &route.to) {
            Some(RouteTarget::Hops(_)) => {
                if hop.is_some_and(|hop| hop.link != end.name) {
                    self.unknown.insert(Unknown::PodRoutes(name));
                }
                self.limit(at, Way::Out, own.unwrap_or(device), Above::Refused);
            }
            Some(RouteTarget::Nowhere) if !rules => {
                self.limit(at, Way::Out, 0, Above::NotSent(Cause::RouteRefuses));
            }
            Some(RouteTarget::Nowhere | RouteTarget::Elsewhere) => {
                self.unknown.insert(Unknown::PodRoutes(name));
                self.limit(at, Way::Out, own.unwrap_or(device), Above::Refused);
            }
            None if known => self.limit(at, Way::Out, 0, Above::NotSent(Cause::NoRoute)),
            None => self.limit(at, Way::Out, device, Above::Refused),
        }
        self.taken_in(at, Way::Back, link, end.mtu);
        at
    }

    /// Notes who answers for the gateway of a hop.
    fn answered(&mut self, at: usize, link: LinkName, gateway: Gateway) {
        if let Some(hop) = self.hops.get_mut(at) {
            hop.gateway = Some(gateway);
        }
        match gateway.answered {
            Answered::Nobody(_) => self.nothing(at, Way::Out, Cause::NobodyAnswers),
            Answered::Unknown => {
                self.unknown.insert(Unknown::Gateway(link));
            }
            Answered::PermanentEntry
            | Answered::Address(_)
            | Answered::ProxyArp(_)
            | Answered::Neighbour
            | Answered::Network => {}
        }
    }

    /// A pod's gateway beyond a bridge.
    fn gateway_on_the_network(&mut self, at: usize, address: Option<IpAddr>, pod: Option<&PodForwarding>) {
        let (Some(address), Some(pod)) = (address, pod) else {
            return;
        };
        let entry = pod.neighbours.iter().find(|entry| entry.address == address);
        let answered = match entry.map(|entry| entry.state) {
            Some(NeighbourState::Permanent) => Answered::PermanentEntry,
            Some(NeighbourState::Answered) => Answered::Neighbour,
            Some(NeighbourState::Failed) => Answered::Nobody(Silence::Failed),
            Some(NeighbourState::Waiting) | None => Answered::Network,
        };
        if let Some(hop) = self.hops.get_mut(at) {
            hop.gateway = Some(Gateway { address, answered });
        }
        if matches!(answered, Answered::Nobody(_)) {
            self.nothing(at, Way::Out, Cause::NobodyAnswers);
        }
    }

    /// The host's route back to the pod: it limits what the host forwards there.
    fn route_to_pod(&mut self, at: usize, arrives: LinkName, device: &Link, addresses: &[IpAddr]) {
        let mut mtu = self.mtu(arrives, device);
        if let Some(address) = addresses.first() {
            match self.host.route(*address) {
                None => {
                    self.unknown.insert(Unknown::Routes);
                }
                Some(Some(route)) if route.hops().iter().any(|hop| hop.link == arrives) => {
                    mtu = self.host.route_mtu(route, arrives).unwrap_or(mtu);
                }
                Some(Some(route)) if route.to == RouteTarget::Elsewhere => {
                    self.unknown.insert(Unknown::Routes);
                }
                Some(_) if self.host.has_other_rules(self.family) => {
                    self.unknown.insert(Unknown::Rules);
                }
                // Its programs hand packets to the pod by their own table (`ipv4_local_delivery`, bpf/lib/l3.h): most hosts
                // have one route for all pods, by cilium_host.
                Some(_) if self.unknown.contains(&Unknown::Cilium(arrives)) => {}
                Some(_) => {
                    self.is_mute = true;
                    return match self.is_local() {
                        true => self.limit(at, Way::Back, 0, Above::NotSent(Cause::NoRoute)),
                        false => self.nothing(at, Way::Back, Cause::NoRoute),
                    };
                }
            }
        }
        let above = match self.is_local() {
            true => Above::Refused,
            false => Above::PacketTooBig,
        };
        self.limit(at, Way::Back, mtu, above);
    }

    /// Follows packets out of this host by the route to the destination. `above` is what happens to packets
    /// above the MTU of that route; `routed` says that packets to the origin are forwarded here.
    pub(crate) fn leave(&mut self, above: Above, routed: bool) {
        if self.is_local() {
            return self.delivered();
        }
        if self.host.has_other_rules(self.family) {
            self.unknown.insert(Unknown::Rules);
        }
        let (route, hop, link) = match self.egress() {
            Ok(found) => found,
            Err(cause) => {
                match (cause, self.hops.len().checked_sub(1)) {
                    (Some(cause), Some(at)) => self.nothing(at, Way::Out, cause),
                    (Some(cause), None) => self.not_sent(cause),
                    (None, _) => {
                        self.unknown.insert(Unknown::Routes);
                    }
                }
                return;
            }
        };
        let Some(device) = self.host.snapshot.link(link) else {
            self.unknown.insert(Unknown::Below(link));
            return;
        };
        let at = self.device(link, device, Role::Egress);
        let mtu = self.mtu(link, device);
        let own = route.and_then(|route| self.host.route_mtu(route, link));
        if let (Some(route), Some(drawn)) = (route, self.hops.get_mut(at)) {
            drawn.route = Some(step(route, hop, own, mtu));
        }
        if !matches!(
            self.destination,
            Destination::Through(_) | Destination::Senders(_)
        ) {
            self.chooses(route);
        }
        if let Some(via) = hop.and_then(|hop| hop.via) {
            self.answered(at, link, Gateway::of_host(self.host, via, link));
        }
        let senders = matches!(self.destination, Destination::Senders(_));
        if !senders {
            self.limit(at, Way::Out, own.unwrap_or(mtu), above);
        }
        let address = match self.destination {
            Destination::Address(address) => Some([address]),
            Destination::Through(_) | Destination::Default | Destination::Senders(_) => None,
        };
        let sources = match &address {
            Some(address) => Sources::These(address),
            None if senders => Sources::Any,
            None => Sources::Behind,
        };
        self.arrives(at, link, Way::Back, sources);
        if routed {
            self.must_forward(at, link, Way::Back);
        }
        self.below(at, link, device);
    }

    /// Whether this host has the destination: packets to it are not forwarded.
    fn is_local(&self) -> bool {
        let Destination::Address(to) = self.destination else {
            return false;
        };
        to.is_loopback() || self.host.holder(to).is_some() || self.host.is_any_ip(to) == Some(true)
    }

    /// The host delivers packets to itself. Its own go by the loopback interface.
    fn delivered(&mut self) {
        if !self.hops.is_empty() {
            return;
        }
        let found = self.host.snapshot.links.iter();
        let mut found = found.filter(|(name, _)| name.as_bytes() == b"lo");
        let Some((name, lo)) = found.next() else {
            self.unknown.insert(Unknown::Routes);
            return;
        };
        // The length of an IPv4 packet has 16 bits, which the MTU of the interface exceeds.
        let most = match self.family {
            Family::Ipv4 => lo.mtu.min(u16::MAX.into()),
            Family::Ipv6 => lo.mtu,
        };
        let at = self.device(*name, lo, Role::Egress);
        self.limit(at, Way::Out, most, Above::Refused);
        self.limit(at, Way::Back, most, Above::Refused);
    }

    /// The route, the next hop that is drawn and its interface. `Err(None)` is unknown.
    #[expect(clippy::type_complexity, reason = "three parts of one answer")]
    fn egress(&self) -> Result<(Option<&'a PathRoute>, Option<&'a NextHop>, LinkName), Option<Cause>> {
        let table = self.host.forwarding.and_then(|found| found.routes.as_ref());
        let route = match self.destination {
            Destination::Through(link) | Destination::Senders(link) => {
                let family = self.family;
                let mut by = table.into_iter().flat_map(|table| table.routes.iter());
                let uses = |route: &&PathRoute| {
                    Family::of(route.destination.addr()) == family
                        && route.hops().iter().any(|hop| hop.link == link)
                };
                let found = by
                    .by_ref()
                    .filter(uses)
                    .min_by_key(|route| (route.destination.prefix_len(), route.metric));
                let hop = found.and_then(|route| route.hops().iter().find(|hop| hop.link == link));
                return Ok((found, hop, link));
            }
            Destination::Default => table.ok_or(None)?.defaults(self.family).first().copied(),
            Destination::Address(address) => self.host.route(address).ok_or(None)?,
        };
        match route {
            None if self.host.has_other_rules(self.family) => Err(None),
            None => Err(Some(Cause::NoRoute)),
            Some(route) => match &route.to {
                RouteTarget::Nowhere if self.host.has_other_rules(self.family) => Err(None),
                RouteTarget::Nowhere => Err(Some(Cause::RouteRefuses)),
                RouteTarget::Elsewhere => Err(None),
                RouteTarget::Hops(hops) => {
                    let hop = self.host.next_hop(hops).ok_or(None)?;
                    Ok((Some(route), Some(hop), hop.link))
                }
            },
        }
    }
}

/// The addresses from which the pod sends by a route: the route's own source, or the one of the gateway's network
/// (`inet_select_addr`, net/ipv4/devinet.c). Otherwise any of them.
fn sources(
    pod: &PodForwarding,
    family: Family,
    route: Option<&PathRoute>,
    gateway: Option<IpAddr>,
) -> Vec<IpAddr> {
    if let Some(source) = route.and_then(|route| route.source) {
        return vec![source];
    }
    let own = pod
        .addresses
        .iter()
        .filter(|own| Family::of(own.addr()) == family);
    let near = gateway.and_then(|gateway| own.clone().find(|own| own.contains(&gateway)));
    near.map_or_else(|| own.map(|own| own.addr()).collect(), |near| vec![near.addr()])
}
