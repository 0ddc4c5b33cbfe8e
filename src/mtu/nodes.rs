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

/// Whether a device has addresses and no network: lo, a VRF, a dummy device.
pub(crate) fn is_local(name: LinkName, link: &Link) -> bool {
    name == LinkName::LOOPBACK || matches!(link.kind_name(), "vrf" | "dummy")
}

/// Whether no packet leaves the host by a device, although it may have a node's address or a route: a local device, a device
/// of a CNI, or one of two ends that are both here, as cilium_host, where the other one is no port of a switch.
pub(crate) fn stays_here(host: &Snapshot, name: LinkName, link: &Link) -> bool {
    let is_pair_here = || {
        let other = link.lower.and_then(|index| host.by_index(index));
        let is_port = other.is_some_and(|(_, other)| other.master.is_some());
        comes_in_pairs(link.kind_name()) && link.peer_netns.is_none() && !is_port
    };
    let is_of_cni = || DEVICES.iter().any(|(own, ..)| own.as_bytes() == name.as_bytes());
    is_local(name, link) || is_of_cni() || is_pair_here()
}

/// Programs that set no routes to the pods of other nodes: RTPROT_REDIRECT, RTPROT_STATIC, RTPROT_RA and RTPROT_DHCP
/// (include/uapi/linux/rtnetlink.h), and FRR for static routes (RTPROT_ZSTATIC, zebra/rt_netlink.h).
const OF_OTHERS: &[u8] = &[1, 4, 9, 16, 196];

/// RTPROT_BOOT: commands by hand, flannel and Antrea leave it so.
const BOOT: u8 = 3;

/// The least MTU of the interfaces by which routes other than default routes lead to routers, and which one that is. Where
/// a CNI encapsulates nothing, those to the pods of other nodes are such routes. Routes of an administrator lead elsewhere.
/// `None` on a host without such routes, or whose next hops were not read.
pub(crate) fn by_routes(host: &Snapshot, cni: &str) -> Option<(i64, String)> {
    // Calico's and Cilium's routes are those of a daemon of BGP, of Felix or of the agent (RTPROT_KERNEL).
    let names_itself = matches!(cni, "calico" | "cilium");
    let is_of_others = |protocol: u8| OF_OTHERS.contains(&protocol) || (names_itself && protocol == BOOT);
    let hops = host.next_hops.iter().flatten().filter(|hop| !hop.default);
    let hops = hops.filter(|hop| !hop.protocol.is_some_and(is_of_others));
    let to_routers = hops.filter_map(|hop| Some((hop.link, host.link(hop.link)?, hop.router?)));
    let leads_out = |name: LinkName, link: &Link| {
        link.up && !is_overlay(link) && !link.leads_into_a_pod() && !stays_here(host, name, link)
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
    let links = host
        .links
        .iter()
        .filter(|(name, link)| has(link) && !stays_here(host, **name, link));
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

#[cfg(test)]
mod tests {
    use netkeel_core::error::Error;
    use netkeel_host::snapshot::Snapshot;

    use crate::detect::detect;

    /// The underlay of a host with this plugin.
    fn underlay(links: &str, more: &str, plugin: &str, state: &str) -> Result<(i64, String), Error> {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{{links}}}{more},
                "cni":{{"runtime":{{"directory":"/d"}}{state},"files":{{"/d/10-x.conflist":{{"sha256":"","plugins":[{{"type":"{plugin}","at":"plugins[0].mtu"}}]}}}}}}}}"#
        );
        let host = Snapshot::from_json(&text).unwrap();
        detect(&host).unwrap().underlay(&host)
    }

    #[test]
    fn a_route_that_leads_to_no_other_node_is_no_underlay() {
        let links = r#""lo":{"index":1,"mtu":65536,"up":true,"addresses":["10.255.0.5/32"]},"eth0":{"index":2,"mtu":1500,"up":true,"addresses":["192.0.2.5/24"]},
            "ens10":{"index":3,"mtu":1450,"up":true,"addresses":["10.0.0.5/32"]},"antrea-gw0":{"index":7,"kind":"openvswitch","mtu":1400,"up":true},
            "cilium_host":{"index":4,"kind":"veth","mtu":1400,"lower":5,"up":true,"addresses":["10.0.1.73/32"]},"cilium_net":{"index":5,"kind":"veth","mtu":1400,"lower":4,"up":true}"#;
        let found = |kind: &str, hops: &str, state: &str| {
            let routes = format!(
                r#","default_routes":[{{"link":"eth0","metric":0,"family":"ipv4"}}],"policy_routing":["ipv4"],"next_hops":[{{"link":"eth0","router":"192.0.2.1","default":true}}{hops}]"#
            );
            underlay(links, &routes, kind, state).map_err(|error| error.message)
        };
        let default = || Ok((1500, "the default route's eth0".to_owned()));
        let hop = |link: &str, router: &str, protocol: &str| {
            format!(r#",{{"link":"{link}","router":"{router}"{protocol}}}"#)
        };
        // Those of netplan, of DHCP and of FRR's staticd; those by hand, where the CNI's have a protocol of their own.
        for protocol in [4, 16, 196, 3] {
            let by_hand = hop("ens10", "10.0.0.1", &format!(r#","protocol":{protocol}"#));
            assert_eq!(found("calico", &by_hand, ""), default(), "{protocol}");
            let by_bird = hop("eth0", "192.0.2.6", r#","protocol":12"#);
            assert_eq!(
                found("calico", &(by_hand + &by_bird), ""),
                default(),
                "{protocol}"
            );
        }
        let by_flannel = hop("ens10", "10.0.0.6", r#","protocol":3"#);
        let to_node = (1450, "ens10, by which a route leads to 10.0.0.6".to_owned());
        assert_eq!(found("flannel", &by_flannel, ""), Ok(to_node));
        // Services of Antrea, pods of this node, and the table of Cilium's proxy.
        let services = hop("antrea-gw0", "169.254.0.253", r#","protocol":3"#);
        assert_eq!(found("antrea", &services, ""), default());
        let to_pods = hop("cilium_host", "10.0.1.73", r#","protocol":3"#);
        let of_proxy = hop("cilium_host", "10.0.1.73", r#","default":true,"table":2005"#);
        let own = to_pods + &of_proxy;
        let unknown = "Cilium's state does not name the interface between nodes: it may be the default route's eth0 with 1500, or ens10 with 1450";
        assert_eq!(found("cilium-cni", &own, ""), Err(unknown.to_owned()));
        // The node's address is on lo, and BGP has the way to the others.
        let on_lo = r#","cilium_addresses":["10.255.0.5"]"#;
        assert_eq!(found("cilium-cni", &own, on_lo), Err(unknown.to_owned()));
        let by_bgp = own + &hop("eth0", "fe80::2", r#","protocol":186"#);
        assert_eq!(found("cilium-cni", &by_bgp, on_lo), default());
    }

    #[test]
    fn an_end_of_a_pair_leads_out_where_the_other_one_is_a_port() {
        let stays = |port: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                    "br0":{{"index":2,"kind":"bridge"}},"up0":{{"index":3,"kind":"veth","lower":4}},"up1":{{"index":4,"kind":"veth","lower":3{port}}}}}}}"#
            );
            let host = Snapshot::from_json(&text).unwrap();
            super::stays_here(
                &host,
                "up0".parse().unwrap(),
                host.link("up0".parse().unwrap()).unwrap(),
            )
        };
        assert!(stays("") && !stays(r#","master":2"#));
    }

    #[test]
    fn a_tunnel_on_lo_goes_by_routes() {
        let links = r#""lo":{"index":1,"mtu":65536,"up":true},"eth0":{"index":2,"mtu":1500,"up":true},
            "vxlan.calico":{"index":4,"kind":"vxlan","mtu":1450,"lower":1,"up":true}"#;
        let routes = r#","default_routes":[{"link":"eth0","metric":0,"family":"ipv4"}]"#;
        let found = underlay(links, routes, "calico", "");
        assert_eq!(found.unwrap(), (1500, "the default route's eth0".to_owned()));
    }

    #[test]
    fn the_table_of_kubespan_is_no_other_underlay() {
        let links = r#""eno1":{"index":2,"mtu":1500,"up":true},"kubespan":{"index":6,"kind":"wireguard","mtu":1420,"up":true},
            "ovn0":{"index":7,"kind":"openvswitch","mtu":1222,"up":true}"#;
        let routes = r#","default_routes":[{"link":"eno1","metric":0,"family":"ipv4"}],"policy_routing":["ipv4"],
            "next_hops":[{"link":"eno1","router":"192.0.2.1","default":true},{"link":"kubespan","default":true,"table":180}]"#;
        let default = (1500, "the default route's eno1".to_owned());
        assert_eq!(underlay(links, routes, "kube-ovn", "").unwrap(), default);
        // Another tunnel that takes all packets.
        let other = underlay(
            &links.replace("kubespan", "wg0"),
            &routes.replace("kubespan", "wg0"),
            "kube-ovn",
            "",
        );
        assert!(other.is_err(), "{other:?}");
    }
}
