//! Tunnels: their headers, the device that carries them, and what they do with packets that do not fit it.

use std::net::IpAddr;

use crate::lint::wireguard::PeerWay;
use crate::path::gateway::{Answered, Gateway};
use crate::path::hop::{Above, Cause, HeaderSize, Overhead, Role};
use crate::path::unknown::Unknown;
use crate::path::walk::{Walk, Way, step};
use netkeel_core::name::link::LinkName;
use netkeel_host::device_owner;
use netkeel_host::snapshot::forwarding::{Family, OuterDf, TunnelEnds};
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::routes::mtu_for;

impl<'a> Walk<'a> {
    /// Follows a tunnel's packets to the device that carries them.
    pub(crate) fn tunnel(&mut self, at: usize, name: LinkName, link: &'a Link) {
        let ends = self.host.forwarding.and_then(|found| found.tunnels.get(&name));
        let peers = self.peers(name, link);
        let carrier = match peers {
            Some(way) => self.host.snapshot.link(way.link).map(|device| (way.link, device)),
            None => self.carrier(name, link, ends),
        };
        let family = match peers {
            Some(way) if way.ipv6 => Some(Family::Ipv6),
            Some(_) => Some(Family::Ipv4),
            None => outer_family(link, ends, carrier.map(|(name, _)| name), self),
        };
        let overhead = overhead(link, ends, family);
        if family.is_none() || overhead.at_least {
            self.unknown.insert(Unknown::Overhead(name));
        }
        let bytes = overhead.bytes;
        if let Some(hop) = self.hops.get_mut(at) {
            hop.overhead = Some(overhead);
        }
        // The hosts at the other ends have the same MTU.
        self.limit(at, Way::Back, link.mtu, Above::Assumed);
        let ovs = device_owner::is_ovs_tunnel(name.as_bytes());
        if ovs {
            self.unknown.insert(Unknown::OpenVswitch(name));
        }
        let above = oversize(link.kind_name(), ends);
        self.overhead += bytes;
        self.depth += 1;
        self.fragments = above.is_none_or(|above| above == Above::Fragmented);
        let Some((carrier, device)) = carrier else {
            self.unknown.insert(Unknown::Below(name));
            return;
        };
        let under = self.device(carrier, device, Role::Underlay);
        let mtu = match peers {
            Some(way) => way.mtu,
            None => {
                let of_device = mtu_for(self.host.snapshot, carrier, device, family);
                self.underlay_mtu(under, (name, carrier), of_device, ends)
            }
        };
        match above {
            Some(above) => self.limit(under, Way::Out, mtu, above),
            None => {
                self.unknown.insert(Unknown::Overhead(name));
                self.limit(
                    under,
                    Way::Out,
                    mtu,
                    Above::MayBeDropped(Cause::OuterDontFragment),
                );
            }
        }
        self.below(under, carrier, device);
    }

    /// The way to the peer of a WireGuard device that leaves the least of a packet; none for other devices, or
    /// where no such way is known.
    fn peers(&mut self, name: LinkName, link: &Link) -> Option<PeerWay> {
        if link.kind_name() != "wireguard" {
            return None;
        }
        let routes = link.peer_routes.iter().flatten();
        let ways = routes.filter_map(|route| PeerWay::of(route, self.host.snapshot));
        let least = ways.min_by_key(|way| way.fits);
        if least.is_none() {
            self.unknown.insert(Unknown::TunnelRoutes(name));
        }
        least
    }

    /// The device that carries a tunnel: the one that it is bound to, or the one of the route to its other end. Without
    /// either, the routes to its other ends are unknown, and it is the one with its own outer address or that of a
    /// default route.
    fn carrier(
        &mut self,
        name: LinkName,
        link: &Link,
        ends: Option<&TunnelEnds>,
    ) -> Option<(LinkName, &'a Link)> {
        // It was made in another namespace, which still carries it, as Docker does for its overlay networks.
        if link.peer_netns.is_some() {
            return None;
        }
        if let Some((below, device)) = link.lower.and_then(|index| self.host.by_index(index)) {
            // In a VRF the routes of its table decide, which are not read.
            return Some((below, device)).filter(|_| !stands_for_routes(below, device));
        }
        let snapshot = self.host.snapshot;
        let named = |name: LinkName| Some((name, snapshot.link(name)?));
        let remote = ends
            .and_then(|ends| ends.remote)
            .filter(|remote| !is_multicast(*remote));
        if let Some(remote) = remote {
            let hop = self.host.next_hop(self.host.route(remote)??.hops())?;
            return named(hop.link);
        }
        // Of one that takes its headers from each packet, the senders are of interest.
        if !link.external && !ends.is_some_and(|ends| ends.external) {
            self.unknown.insert(Unknown::TunnelRoutes(name));
        }
        let local = ends.and_then(|ends| ends.local);
        // A router has the address on lo or a dummy device, and its packets leave by others.
        let holder = local.and_then(|local| self.host.holder(local)).and_then(named);
        if let Some(found) = holder.filter(|(name, device)| !carries_nothing(*name, device)) {
            return Some(found);
        }
        let routes = self.host.forwarding?.routes.as_ref()?;
        let families = [Family::Ipv4, Family::Ipv6].into_iter();
        let mut families = families.filter(|family| local.is_none_or(|local| Family::of(local) == *family));
        let default = families.find_map(|family| {
            let defaults = routes.defaults(family).into_iter();
            let mut others = defaults.filter(|route| route.hops().iter().all(|hop| hop.link != name));
            others.next()
        })?;
        named(self.host.next_hop(default.hops())?.link)
    }

    /// The MTU for outer packets: that of the route to the other end, or the device's `mtu`. Where the other ends
    /// are not known, some may be on the device's link, and the default route limits only the others.
    fn underlay_mtu(
        &mut self,
        at: usize,
        (tunnel, name): (LinkName, LinkName),
        mtu: u32,
        ends: Option<&TunnelEnds>,
    ) -> u32 {
        let remote = ends
            .and_then(|ends| ends.remote)
            .filter(|remote| !is_multicast(*remote));
        let routes = self.host.forwarding.and_then(|found| found.routes.as_ref());
        let route = match remote {
            Some(remote) => self.host.route(remote).flatten(),
            None => routes.and_then(|routes| {
                [Family::Ipv4, Family::Ipv6]
                    .into_iter()
                    .find_map(|family| routes.defaults(family).first().copied())
            }),
        };
        let hop = route.and_then(|route| route.hops().iter().find(|hop| hop.link == name));
        if let (Some(via), Some(_)) = (hop.and_then(|hop| hop.via), remote) {
            let gateway = Gateway::of_host(self.host, via, name);
            if matches!(gateway.answered, Answered::Nobody(_)) {
                self.nothing(at, Way::Out, Cause::NobodyAnswers);
            }
            if let Some(hop) = self.hops.get_mut(at) {
                hop.gateway = Some(gateway);
            }
        }
        let own = route
            .filter(|_| hop.is_some())
            .and_then(|route| self.host.route_mtu(route, name));
        if let (Some(route), Some(drawn), Some(_)) = (route, self.hops.get_mut(at), hop) {
            drawn.route = Some(step(route, hop, own, mtu));
        }
        if remote.is_some() {
            self.chooses(route);
            return own.unwrap_or(mtu);
        }
        if own.is_some_and(|own| own != mtu) {
            self.unknown.insert(Unknown::TunnelRoutes(tunnel));
        }
        mtu
    }
}

/// Whether no packet leaves the host by a device: lo, a VRF or a dummy device.
pub(crate) fn carries_nothing(name: LinkName, link: &Link) -> bool {
    stands_for_routes(name, link) || link.kind_name() == "dummy"
}

/// Whether a tunnel that is bound to a device goes by routes all the same: a VRF stands for those of its table.
pub(crate) fn stands_for_routes(name: LinkName, link: &Link) -> bool {
    name.as_bytes() == b"lo" || link.kind_name() == "vrf"
}

fn is_multicast(address: IpAddr) -> bool {
    address.is_multicast()
}

/// The family of the outer header; `None` if it cannot be told.
fn outer_family(
    link: &Link,
    ends: Option<&TunnelEnds>,
    carrier: Option<LinkName>,
    walk: &Walk<'_>,
) -> Option<Family> {
    match link.kind_name() {
        "ipip" | "sit" | "gre" | "gretap" | "erspan" | "vti" => return Some(Family::Ipv4),
        "ip6tnl" | "ip6gre" | "ip6gretap" | "ip6erspan" | "vti6" => return Some(Family::Ipv6),
        _ => {}
    }
    let end = ends.and_then(|ends| ends.remote.or(ends.local));
    if let Some(end) = end {
        return Some(Family::of(end));
    }
    // Without an address, only the family that the carrier has can be the outer one.
    let carrier = walk.host.snapshot.link(carrier?)?;
    let families = walk.host.snapshot.families;
    let six = carrier.lasting_ipv6().next().is_some();
    match (carrier.has_ipv4(), six) {
        (true, false) if families.ipv6 => Some(Family::Ipv4),
        (false, true) if families.ipv4 => Some(Family::Ipv6),
        _ => None,
    }
}

/// The encapsulation limit that tunnels over IPv6 add unless they have `encaplimit none`, also ip6gre (`ip6_tnl_dev_init_gen`,
/// net/ipv6/ip6_tunnel.c; `ip6gre_tnl_link_config`).
pub(crate) const ENCAPSULATION_LIMIT: u32 = 8;

/// The headers of a kind of tunnel after that of IP, without options.
pub(crate) fn own_headers(kind: &str) -> &'static [HeaderSize] {
    const fn header(name: &'static str, bytes: u32) -> HeaderSize {
        HeaderSize { name, bytes }
    }
    match kind {
        "vxlan" => const { &[header("UDP", 8), header("VXLAN", 8), header("Ethernet", 14)] },
        "geneve" => const { &[header("UDP", 8), header("Geneve", 8), header("Ethernet", 14)] },
        // A data message: header 16, tag 16 (drivers/net/wireguard/messages.h).
        "wireguard" => const { &[header("UDP", 8), header("WireGuard", 32)] },
        "gre" | "ip6gre" => const { &[header("GRE", 4)] },
        "gretap" | "ip6gretap" | "erspan" | "ip6erspan" => {
            const { &[header("GRE", 4), header("Ethernet", 14)] }
        }
        _ => &[],
    }
}

/// Whether a kind of tunnel may add the encapsulation limit.
pub(crate) fn may_limit(kind: &str) -> bool {
    matches!(kind, "ip6tnl" | "ip6gre" | "ip6gretap" | "ip6erspan")
}

/// The headers of a tunnel.
fn overhead(link: &Link, ends: Option<&TunnelEnds>, family: Option<Family>) -> Overhead {
    let header = |name, bytes| HeaderSize { name, bytes };
    let mut headers = vec![match family {
        Some(Family::Ipv6) => header("IPv6", 40),
        Some(Family::Ipv4) | None => header("IPv4", 20),
    }];
    let kind = link.kind_name();
    headers.extend_from_slice(own_headers(kind));
    let options = ends.map_or(0, |ends| ends.gre_options);
    let (is_erspan, is_ipsec) = (kind.ends_with("erspan"), matches!(kind, "vti" | "vti6"));
    if options > 0 {
        let name = if is_erspan { "ERSPAN" } else { "GRE options" };
        headers.push(header(name, options));
    }
    if is_ipsec {
        headers.push(header("ESP", 8));
    }
    if may_limit(kind) && ends.is_none_or(|ends| ends.encapsulation_limit != Some(false)) {
        headers.push(header("encapsulation limit", ENCAPSULATION_LIMIT));
    }
    Overhead {
        bytes: headers.iter().map(|header| header.bytes).sum(),
        family,
        headers,
        // Each packet of an external geneve may carry options, the ciphers of IPsec add bytes of their own, and the header of
        // ERSPAN has a version.
        at_least: is_ipsec
            || (kind == "geneve" && ends.is_none_or(|ends| ends.external))
            || (is_erspan && ends.is_none()),
    }
}

/// The treatment of a packet whose outer packet is larger than the underlay's MTU; `None` if it is unknown.
fn oversize(kind: &str, ends: Option<&TunnelEnds>) -> Option<Above> {
    match kind {
        // `vxlan_xmit_one`, `geneve_xmit_skb`: the outer bit is clear unless the device says otherwise.
        "vxlan" | "geneve" => match ends?.df? {
            OuterDf::Unset => Some(Above::Fragmented),
            OuterDf::Set | OuterDf::Inherit => Some(Above::Dropped(Cause::OuterDontFragment)),
        },
        // `send4` (drivers/net/wireguard/socket.c) sets no bit and ignores it.
        "wireguard" => Some(Above::Fragmented),
        // `tnl_update_pmtu` (net/ipv4/ip_tunnel.c) answers a packet with don't-fragment.
        "ipip" | "sit" | "gre" => match ends?.pmtudisc? {
            true => Some(Above::PacketTooBig),
            false => Some(Above::Fragmented),
        },
        // `ip6_tnl_xmit` answers whatever does not fit, `vti_xmit` and `vti6_xmit` what IPsec leaves no room for.
        "ip6tnl" | "ip6gre" | "vti" | "vti6" => Some(Above::PacketTooBig),
        _ => None,
    }
}
