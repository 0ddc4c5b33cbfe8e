//! The interface by which a node reaches the others, where no tunnel of the CNI names it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::{Link, comes_in_pairs};

use crate::cni::DEVICES;

/// Kinds of devices that are no network between nodes, but lead over one.
const OVERLAYS: &[&str] = &[
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ppp",
    "sit",
    "tun",
    "vti",
    "vti6",
    "vxlan",
    "wireguard",
    "xfrm",
];

/// Kinds of devices, beside hardware, that may be the network between nodes.
const NETWORKS: &[&str] = &["bond", "ipvlan", "macvlan", "team", "vlan"];

/// Whether a device carries packets over another network.
pub(crate) fn is_overlay(link: &Link) -> bool {
    OVERLAYS.contains(&link.kind_name())
}

/// Whether no packet leaves the host by a device, although it may have a node's address or a route: lo, a VRF, a dummy
/// device, one of two ends that are both here, as cilium_host, or a device of a CNI.
pub(crate) fn stays_here(name: LinkName, link: &Link) -> bool {
    let kind = link.kind_name();
    let is_pair_here = comes_in_pairs(kind) && link.peer_netns.is_none();
    let is_of_cni = || DEVICES.iter().any(|(own, ..)| own.as_bytes() == name.as_bytes());
    name == LinkName::LOOPBACK || matches!(kind, "vrf" | "dummy") || is_pair_here || is_of_cni()
}

/// Programs that set no routes to the pods of other nodes: RTPROT_REDIRECT, RTPROT_STATIC, RTPROT_RA and RTPROT_DHCP
/// (include/uapi/linux/rtnetlink.h).
const OF_OTHERS: &[u8] = &[1, 4, 9, 16];

/// RTPROT_BOOT: commands by hand, flannel and Antrea leave it so.
const BOOT: u8 = 3;

/// The least MTU of the interfaces by which routes other than default routes lead to routers, and which one that is. Where
/// a CNI encapsulates nothing, those to the pods of other nodes are such routes. Routes of an administrator lead elsewhere.
/// `None` where there are none, or the next hops were not read.
pub(crate) fn by_routes(host: &Snapshot, cni: &str) -> Option<(i64, String)> {
    // Calico's and Cilium's routes are those of a daemon of BGP, of Felix or of the agent (RTPROT_KERNEL).
    let names_itself = matches!(cni, "calico" | "cilium");
    let is_of_others = |protocol: u8| OF_OTHERS.contains(&protocol) || (names_itself && protocol == BOOT);
    let hops = host.next_hops.iter().flatten().filter(|hop| !hop.default);
    let hops = hops.filter(|hop| !hop.protocol.is_some_and(is_of_others));
    let to_routers = hops.filter_map(|hop| Some((hop.link, host.link(hop.link)?, hop.router?)));
    let leads_out = |name: LinkName, link: &Link| {
        link.up && !is_overlay(link) && !link.leads_into_a_pod() && !stays_here(name, link)
    };
    let ways = to_routers.filter(|(name, link, _)| leads_out(*name, link));
    let (name, link, router) = ways.min_by_key(|(name, link, router)| (link.mtu, *name, *router))?;
    let from = format!("{name}, by which a route leads to {router}");
    Some((link.mtu.into(), from))
}

/// The same of the interfaces whose subnets have the nodes to which a tunnel leads: routers by that tunnel are nodes.
pub(crate) fn behind_tunnel(host: &Snapshot, tunnel: &str) -> Option<(i64, String)> {
    let hops = host.next_hops.iter().flatten();
    let by_it = hops.filter(|hop| hop.link.as_bytes() == tunnel.as_bytes());
    let nodes: BTreeSet<IpAddr> = by_it.filter_map(|hop| hop.router).collect();
    let on_link = |link: &Link| {
        let mut subnets = link.addresses.iter();
        subnets.any(|subnet| nodes.iter().any(|node| subnet.contains(node)))
    };
    let links = host.links.iter().filter(|(_, link)| link.up && !is_overlay(link));
    let ways = links.filter(|(_, link)| on_link(link));
    let (name, link) = ways.min_by_key(|(name, link)| (link.mtu, **name))?;
    let from = format!("{name}, whose subnet has nodes to which {tunnel} leads");
    Some((link.mtu.into(), from))
}

/// The interface that has one of these addresses. With BGP on the host, lo or a dummy device may have it: that says
/// nothing of the network.
pub(crate) fn with_address(host: &Snapshot, addresses: &BTreeSet<IpAddr>) -> Option<(i64, String)> {
    let has = |link: &Link| link.addresses.iter().any(|own| addresses.contains(&own.addr()));
    let links = host.links.iter().filter(|(name, link)| has(link) && !stays_here(**name, link));
    let (name, link) = links.min_by_key(|(name, link)| (link.mtu, **name))?;
    Some((
        link.mtu.into(),
        format!("{name}, which has the node's address in Cilium's state"),
    ))
}

/// Says that the underlay is unknown where another interface than that of the default route may carry packets to other
/// nodes, with another MTU.
pub(crate) fn unless_another(host: &Snapshot, found: (i64, String)) -> Result<(i64, String), Error> {
    let addresses_read = host.families.ipv4 || host.families.ipv6;
    let may_be = |name: LinkName, link: &Link| {
        let is_network =
            link.is_hardware(name) || NETWORKS.contains(&link.kind_name()) || has_uplink(host, link);
        let has_address = link.has_ipv4() || link.lasting_ipv6().next().is_some();
        link.up && link.master.is_none() && is_network && (has_address || !addresses_read)
    };
    let mut links = host.links.iter();
    let other = links.find(|(name, link)| may_be(**name, link) && i64::from(link.mtu) != found.0);
    let Some((name, link)) = other else {
        return Ok(found);
    };
    let message = format!(
        "Cilium's state does not name the interface between nodes: it may be {} with {}, or {name} with {}",
        found.1, found.0, link.mtu
    );
    Err(Error::new(ErrorKind::Unreadable, message).hint("`--underlay IFACE` names it"))
}

/// Whether it is a bridge with a port that is hardware or leads over it.
fn has_uplink(host: &Snapshot, bridge: &Link) -> bool {
    let mut ports = host
        .links
        .iter()
        .filter(|(_, port)| port.master == Some(bridge.index));
    let leads_out =
        |name: LinkName, port: &Link| port.is_hardware(name) || NETWORKS.contains(&port.kind_name());
    bridge.kind_name() == "bridge" && ports.any(|(name, port)| leads_out(*name, port))
}
