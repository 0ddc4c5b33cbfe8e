//! A path that is being followed: its devices so far, and what each does with packets in both directions.

use std::collections::BTreeSet;

use crate::path::capacity::{Placed, capacity};
use crate::path::drawing::Path;
use crate::path::hop::{Above, Cause, Hop, Limit, Place, Port, Role, RouteStep};
use crate::path::lookup::Host;
use crate::path::mss::mss;
use crate::path::origin::{Destination, Origin};
use crate::path::unknown::Unknown;
use netkeel_core::mtu::IPV6_MIN_MTU;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::forwarding::{Family, NextHop, PathRoute};
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::routes::mtu_for;

/// Bytes above the MTU that a veth or a bridge port lets through: room for a VLAN tag (`__is_skb_forwardable`,
/// net/core/dev.c).
pub(crate) const TAG: u32 = 4;

/// Most devices that are followed: a loop of devices ends there.
pub(crate) const MOST_HOPS: usize = 24;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the origin.
    Out,
    /// To the origin.
    Back,
}

/// A path that is being followed.
pub(crate) struct Walk<'a> {
    pub host: &'a Host<'a>,
    pub family: Family,
    pub destination: Destination,
    pub hops: Vec<Hop>,
    /// In the order in which packets meet them.
    out: Vec<Placed>,
    /// From the origin outward: against the order in which packets meet them.
    back: Vec<Placed>,
    pub unknown: BTreeSet<Unknown>,
    /// Headers around the packet here, bytes.
    pub overhead: u32,
    /// The number of tunnels around the packet here.
    pub depth: u8,
    /// Outer packets may be fragmented here.
    pub fragments: bool,
    /// The host has no route to the origin: it cannot answer a packet that is too large.
    pub is_mute: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(host: &'a Host<'a>, family: Family, destination: Destination) -> Self {
        Walk {
            host,
            family,
            destination,
            hops: Vec::new(),
            out: Vec::new(),
            back: Vec::new(),
            unknown: BTreeSet::new(),
            overhead: 0,
            depth: 0,
            fragments: false,
            is_mute: false,
        }
    }

    /// The path, when everything was followed.
    pub(crate) fn end(mut self, origin: Origin) -> Path {
        self.back.reverse();
        let known = self.unknown.is_empty();
        // Nothing is sent to them this way.
        if matches!(self.destination, Destination::Senders(_)) {
            self.out.clear();
        }
        let (mut out, mut back) = (capacity(&self.out, known), capacity(&self.back, known));
        // The origin itself has no way there, as a namespace that talks to its neighbour only: no answer is lost.
        if out.limited_by == Some(0) && matches!(out.above, Some(Above::NotSent(_))) {
            back.black_hole = None;
        }
        for found in [&mut out, &mut back] {
            found.limited_by = found.limited_by.filter(|at| *at < self.hops.len());
        }
        Path {
            origin,
            destination: self.destination,
            family: self.family,
            mss: mss(&out, &back),
            out,
            back,
            hops: self.hops,
            unknown: self.unknown.into_iter().collect(),
        }
    }

    /// Adds a device of this host.
    pub(crate) fn device(&mut self, name: LinkName, link: &Link, role: Role) -> usize {
        let at = self.push(Hop {
            kind: link.kind.clone().unwrap_or_else(|| link.kind_name().into()),
            mtu: Some(self.mtu(name, link)),
            up: Some(link.up),
            ports: self.ports(link),
            ..blank(name, Place::Host, role)
        });
        if !link.up {
            self.limit_as_is(at, Way::Out, 0, Above::Dropped(Cause::Down));
            self.limit_as_is(at, Way::Back, 0, Above::Dropped(Cause::Down));
        }
        if matches!(role, Role::HostEnd | Role::Bridge | Role::Egress) {
            self.needs_ipv6(at, link.mtu);
        }
        at
    }

    /// An interface without IPv6 passes no packet of it (`addrconf_notify`, net/ipv6/addrconf.c).
    pub(crate) fn needs_ipv6(&mut self, at: usize, mtu: u32) {
        if self.family == Family::Ipv6 && self.depth == 0 && mtu < IPV6_MIN_MTU {
            self.limit_as_is(at, Way::Out, 0, Above::Dropped(Cause::TooSmallForIpv6));
            self.limit_as_is(at, Way::Back, 0, Above::Dropped(Cause::TooSmallForIpv6));
        }
    }

    pub(crate) fn push(&mut self, hop: Hop) -> usize {
        self.hops.push(hop);
        self.hops.len() - 1
    }

    /// The MTU of a device for packets of the family at the origin; outer packets take the device's.
    pub(crate) fn mtu(&self, name: LinkName, link: &Link) -> u32 {
        let family = Some(self.family).filter(|_| self.depth == 0);
        mtu_for(self.host.snapshot, name, link, family)
    }

    /// Adds a limit on the packet at this place, in bytes of that packet with the headers around it.
    pub(crate) fn limit(&mut self, at: usize, way: Way, bytes: u32, above: Above) {
        let bytes = bytes.saturating_sub(self.overhead);
        self.limit_as_is(at, way, bytes, above);
    }

    /// Adds a limit in bytes of the origin's packet.
    pub(crate) fn limit_as_is(&mut self, at: usize, way: Way, bytes: u32, above: Above) {
        let limit = Limit {
            bytes,
            above,
            depth: self.depth,
        };
        let Some(hop) = self.hops.get_mut(at) else { return };
        match way {
            Way::Out => {
                hop.out.push(limit);
                self.out.push((at, limit));
            }
            Way::Back => {
                hop.back.push(limit);
                self.back.push((at, limit));
            }
        }
    }

    /// Notes that a route has several next hops: a hash of the packet decides.
    pub(crate) fn chooses(&mut self, route: Option<&PathRoute>) {
        if route.is_some_and(|route| route.hops().len() > 1) {
            self.unknown.insert(Unknown::NextHop);
        }
    }

    /// The host sends no packet: there is no hop that could tell why.
    pub(crate) fn not_sent(&mut self, cause: Cause) {
        let limit = Limit {
            bytes: 0,
            above: Above::NotSent(cause),
            depth: 0,
        };
        self.out.push((self.hops.len(), limit));
    }

    /// A bridge sends by a port, and drops what is too large for it. Frames that pass the bridge and go
    /// through the firewall of IP lack the room for a tag: they must fit the MTU (`br_nf_dev_queue_xmit`,
    /// net/bridge/br_netfilter_hooks.c).
    pub(crate) fn by_port(&mut self, at: usize, way: Way, mtu: u32, passed: Option<LinkName>) {
        let filtered = passed.map_or(Some(false), |bridge| self.host.is_filtered(self.family, bridge));
        match filtered {
            Some(true) => self.limit(at, way, mtu, Above::Dropped(Cause::BridgePort)),
            Some(false) => self.limit(at, way, mtu + TAG, Above::Dropped(Cause::BridgePort)),
            None => self.limit(at, way, mtu, Above::MayBeDropped(Cause::BridgePort)),
        }
    }

    /// Packets come in from the network at a device: nothing is known of the hosts there, and those on one
    /// link have one MTU.
    pub(crate) fn network_behind(&mut self, at: usize, mtu: u32) {
        let above = if self.depth > 0 && self.fragments {
            Above::Fragmented
        } else {
            Above::Assumed
        };
        self.limit(at, Way::Back, mtu, above);
    }

    /// The ports of a bridge or bond, the smallest first.
    fn ports(&self, master: &Link) -> Vec<Port> {
        if !master.takes_from_ports() {
            return Vec::new();
        }
        let mut ports: Vec<Port> = self
            .host
            .snapshot
            .links
            .iter()
            .filter(|(_, link)| link.master == Some(master.index))
            .map(|(name, link)| Port {
                mtu: link.mtu,
                link: *name,
                to_pod: link.peer_netns.is_some(),
            })
            .collect();
        ports.sort();
        ports
    }
}

/// A route as it is drawn.
pub(crate) fn step(route: &PathRoute, hop: Option<&NextHop>, own: Option<u32>, device: u32) -> RouteStep {
    RouteStep {
        destination: route.destination,
        via: hop.and_then(|hop| hop.via),
        mtu: own,
        above_device: own.is_some_and(|own| own > device),
        next_hops: route.hops().len(),
    }
}

/// A hop of which nothing more is known.
pub(crate) fn blank(device: LinkName, place: Place, role: Role) -> Hop {
    Hop {
        device,
        place,
        kind: "".into(),
        role,
        mtu: None,
        up: None,
        overhead: None,
        route: None,
        gateway: None,
        rp_filter: None,
        forwarding: None,
        ports: Vec::new(),
        out: Vec::new(),
        back: Vec::new(),
    }
}
