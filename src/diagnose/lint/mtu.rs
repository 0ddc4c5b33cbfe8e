//! MTUs that do not fit each other.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::Metric;
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::route::RouteMtu;

/// The usual MTU of an Ethernet interface, bytes.
const ETHERNET: u32 = 1500;

pub(crate) fn check(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    // Built only when an interface has a lower device in this namespace. Most interfaces are pods' veths,
    // whose other ends are in other namespaces.
    let by_index: LazyCell<BTreeMap<u32, LinkName>, _> = LazyCell::new(|| {
        let indexes = host.links.iter().map(|(name, link)| (link.index, *name));
        indexes.collect()
    });
    let ports = LazyCell::new(|| all_ports(host));
    for (name, link) in host.links.iter().filter(|(name, _)| wanted(**name)) {
        own_routes(*name, link, findings);
        let below = link
            .lower
            .filter(|_| link.peer_netns.is_none())
            .and_then(|index| by_index.get(&index));
        let below = below.and_then(|name| Some((*name, host.link(*name)?)));
        match link.kind_name() {
            "veth" => {
                one_end(*name, link, below, findings);
                end_in_a_pod(*name, link, findings);
            }
            "vlan" | "macvlan" | "macvtap" | "ipvlan" => above_parent(*name, link, below, findings),
            "bridge" => bridge(*name, link, ports.get(&link.index), host, findings),
            // A physical one is hv_netvsc, whose port is a virtual function.
            "bond" | "team" | "physical" => {
                above_ports(*name, link, ports.get(&link.index), host, findings);
            }
            _ => {}
        }
        if device_owner::is_ovs_tunnel(name.as_bytes()) && link.mtu < least_of_ovs(*name) {
            let message = format!(
                "its MTU is {}: Open vSwitch gives it the largest that it can have, since it serves tunnels over every underlay",
                link.mtu
            );
            let remedy = format!(
                "run `ip link set dev {name} mtu 65000`, as Open vSwitch does; the MTU of the pods limits packets"
            );
            findings.add(Code::NK017, name, message, remedy);
        }
        if link.mtu < netkeel_core::mtu::IPV6_MIN_MTU && link.lasting_ipv6().next().is_some() {
            let message = format!("its MTU of {} is below 1280 and it has IPv6 addresses", link.mtu);
            findings.add(
                Code::NK004,
                name,
                message,
                "give it 1280 or more: the kernel removes IPv6 below that",
            );
        }
    }
}

/// Reports veths of this host whose ends do not fit. It knows no other end in the same namespace.
pub(crate) fn ends_in_pods(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    let veths = host
        .links
        .iter()
        .filter(|(name, link)| wanted(**name) && link.kind_name() == "veth");
    veths.for_each(|(name, link)| end_in_a_pod(*name, link, findings));
}

/// The smallest MTU that Open vSwitch gives a tunnel device: `MAX_MTU` of lib/dpif-netlink-rtnl.c, and for GRE,
/// which some kernels limit, the 1450 that it takes then.
fn least_of_ovs(name: LinkName) -> u32 {
    let is_gre = ["gre_sys", "ip6gre_sys", "erspan_sys", "ip6erspan_sys"]
        .iter()
        .any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()));
    if is_gre { 1450 } else { 65_000 }
}

/// A route with a larger MTU than its interface. The kernel takes the MTU of the route for packets that it sends and
/// forwards (`ip_dst_mtu_maybe_forward`, include/net/ip.h), and answers none of them with an ICMP error.
fn own_routes(name: LinkName, link: &Link, findings: &mut Findings) {
    // A tunnel answers, or fragments the outer packet, by the path of the outer packet (`tnl_update_pmtu`,
    // net/ipv4/ip_tunnel.c; `wg_xmit`, drivers/net/wireguard/device.c).
    let is_tunnel = matches!(
        link.kind_name(),
        "wireguard" | "ipip" | "gre" | "sit" | "vti" | "ip6tnl" | "ip6gre" | "vti6"
    );
    if is_tunnel {
        return;
    }
    // Those that a document names are with the interface too, as the plan leaves them.
    let declared = link.routes.iter().filter_map(|(route, is)| {
        let locked = is.locked.contains(&Metric::Mtu);
        is.metrics.get(&Metric::Mtu).map(|mtu| RouteMtu {
            mtu: *mtu,
            route: *route,
            locked,
        })
    });
    let others = link
        .route_mtus
        .iter()
        .filter(|own| !link.routes.contains_key(&own.route));
    let Some(largest) = declared
        .chain(others.copied())
        .max()
        .filter(|own| own.mtu > link.mtu)
    else {
        return;
    };
    let message = format!(
        "its MTU is {} and its route to {} allows {}: this host sends packets of that size, which it or the next device drops without an ICMP error",
        link.mtu, largest.route, largest.mtu
    );
    findings.add(
        Code::NK066,
        name,
        message,
        "give the route no MTU of its own, or at most that of the interface",
    );
}

/// Both ends of a veth in one namespace with different MTUs. An end drops packets larger than its own MTU
/// without an ICMP error (`__is_skb_forwardable`, net/core/dev.c).
fn one_end(name: LinkName, link: &Link, peer: Option<(LinkName, &Link)>, findings: &mut Findings) {
    if let Some((_, peer)) = peer
        && link.mtu < peer.mtu
    {
        let message = format!(
            "its MTU is {} and that of its other end is {}: packets above {} bytes are dropped on the way to it, without an ICMP error",
            link.mtu,
            peer.mtu,
            link.mtu + 4
        );
        findings.add(Code::NK013, name, message, "give both ends of the veth one MTU");
    }
}

/// A veth whose other end is in a pod. The pod's routes limit the packets that it sends: Cilium gives the
/// routes the smaller MTU, and the device the larger one.
fn end_in_a_pod(name: LinkName, link: &Link, findings: &mut Findings) {
    let Some(pod) = &link.pod else { return };
    if pod.goes_with(link.mtu.into()) {
        return;
    }
    let route = pod.largest_route().filter(|route| *route > pod.mtu);
    if let Some(route) = route.filter(|_| pod.mtu == link.mtu) {
        let message = format!(
            "a route by its other end, {} in a pod, allows {route}, and the end itself has {}: packets above {} bytes are dropped on the way from the pod, without an ICMP error",
            pod.name,
            pod.mtu,
            link.mtu + 4
        );
        findings.add(
            Code::NK013,
            name,
            message,
            "give the route no MTU of its own, or that of the veth",
        );
        return;
    }
    let (small, way) = if pod.mtu < link.mtu {
        (pod.mtu, "to the pod")
    } else {
        (link.mtu, "from the pod")
    };
    let message = format!(
        "its MTU is {} and that of its other end, {} in a pod, is {}: packets above {} bytes are dropped on the way {way}, without an ICMP error",
        link.mtu,
        pod.name,
        pod.mtu,
        small + 4
    );
    findings.add(Code::NK013, name, message, "give both ends of the veth one MTU");
}

fn above_parent(name: LinkName, link: &Link, parent: Option<(LinkName, &Link)>, findings: &mut Findings) {
    if let Some((below, parent)) = parent
        && link.mtu > parent.mtu
    {
        let message = format!("its MTU is {} and {below} below it has {}", link.mtu, parent.mtu);
        findings.add(
            Code::NK014,
            name,
            message,
            "lower it, or raise the MTU of the device below",
        );
    }
}

/// A bond, a team or an hv_netvsc device sends by its ports, each with its own MTU.
fn above_ports(name: LinkName, link: &Link, ports: Option<&Ports>, host: &Snapshot, findings: &mut Findings) {
    // Nothing is sent by a port that is down.
    let is_up = |port: LinkName| host.link(port).is_none_or(|link| link.up);
    let ports = ports.into_iter().flatten().filter(|(port, _)| is_up(**port));
    let small = ports.filter(|(_, mtu)| **mtu < link.mtu);
    for (port, mtu) in small {
        let message = format!(
            "its MTU is {} and its port {port} has {mtu}: larger packets by that port are dropped",
            link.mtu
        );
        let remedy = match link.kind_name() {
            "team" => format!(
                "set the MTU of {name} to {mtu}, and then to {}: it sets that of its ports",
                link.mtu
            ),
            _ => format!("set the MTU of {port} to {}, or lower {name}", link.mtu),
        };
        findings.add(Code::NK014, name, message, remedy);
    }
}

/// The MTUs of the ports of a device.
type Ports = BTreeMap<LinkName, u32>;

/// The ports of each device, by its index.
fn all_ports(host: &Snapshot) -> BTreeMap<u32, Ports> {
    let mut found: BTreeMap<u32, Ports> = BTreeMap::new();
    for (name, link) in &host.links {
        if let Some(master) = link.master {
            found.entry(master).or_default().insert(*name, link.mtu);
        }
    }
    found
}

/// A bridge follows the smallest MTU of its ports until its own MTU is set (`br_mtu_auto_adjust`). It drops what
/// is larger than the MTU of the port that it goes to (`br_dev_queue_push_xmit`).
fn bridge(name: LinkName, link: &Link, ports: Option<&Ports>, host: &Snapshot, findings: &mut Findings) {
    let mtus = ports.into_iter().flatten().map(|(_, mtu)| *mtu);
    let (Some(least), Some(most)) = (mtus.clone().min(), mtus.max()) else {
        return;
    };
    if least < most && !is_of_machines(ports, most, host) {
        let small = ports.into_iter().flatten().filter(|(_, mtu)| **mtu == least);
        let small: Vec<String> = small.map(|(port, _)| port.to_string()).collect();
        // Frames that go through the firewall of IP lack the room for a tag (`br_nf_dev_queue_xmit`,
        // net/bridge/br_netfilter_hooks.c).
        let filtered = [Family::Ipv4, Family::Ipv6].map(|family| host.is_filtered(family, name));
        let limit = match filtered {
            [Some(true), Some(true)] => format!("{least} bytes"),
            [Some(false), Some(false)] => format!("{} bytes", least + 4),
            _ => format!(
                "{} bytes, or above {least} where br_netfilter gives them to the firewall of IP,",
                least + 4
            ),
        };
        let message = format!(
            "its ports have MTUs from {least} to {most}: it drops packets above {limit} on the way to {}, without an ICMP error",
            small.join(", ")
        );
        let remedy = "give all ports, and the devices behind them, one MTU";
        findings.add(Code::NK080, name, message, remedy);
    } else if least == most && least != link.mtu {
        let message = format!(
            "its MTU of {} was set by hand: its ports allow {least}, and it no longer follows them",
            link.mtu
        );
        let remedy = format!("declare its MTU, {least}, or create the bridge again");
        findings.add(Code::NK015, name, message, remedy);
    }
}

/// Whether the ports with less than the most lead to virtual machines, whose MTU is usually the one of Ethernet: an
/// uplink with jumbo frames carries them for other hosts, such as storage.
fn is_of_machines(ports: Option<&Ports>, most: u32, host: &Snapshot) -> bool {
    let is_tap = |port: LinkName| host.link(port).is_some_and(|link| link.kind_name() == "tun");
    let mut small = ports.into_iter().flatten().filter(|(_, mtu)| **mtu < most);
    small.all(|(port, mtu)| *mtu == ETHERNET && is_tap(*port))
}

#[cfg(test)]
pub(crate) mod tests {
    use netkeel_host::snapshot::Snapshot;

    /// The findings on a host with these interfaces, a line each.
    pub(crate) fn check(links: &str) -> String {
        check_with("", links)
    }

    fn check_with(sysctls: &str, links: &str) -> String {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{{sysctls}}},"links":{links}}}"#
        );
        let host = Snapshot::from_json(&text).unwrap();
        let findings = crate::lint::host::host(&host);
        let lines = findings
            .iter()
            .map(|f| format!("{} {}: {}", f.code, f.subjects.join(","), f.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_veth_with_two_mtus_is_a_black_hole() {
        insta::assert_snapshot!(check(
            r#"{"cali0":{"index":2,"kind":"veth","mtu":1460,"lower":3},"p0":{"index":3,"kind":"veth","mtu":1500,"lower":2}}"#
        ), @"NK013 cali0: its MTU is 1460 and that of its other end is 1500: packets above 1464 bytes are dropped on the way to it, without an ICMP error");
    }

    #[test]
    fn an_upper_device_must_fit_its_lower_device() {
        insta::assert_snapshot!(check(
            r#"{"eth0":{"index":2,"mtu":1400},"vx0":{"index":3,"kind":"vxlan","mtu":1450,"lower":2},
                "eth0.5":{"index":4,"kind":"vlan","mtu":1500,"lower":2},"vx1":{"index":5,"kind":"vxlan","mtu":1350,"lower":2}}"#
        ), @r"
        NK014 eth0.5: its MTU is 1500 and eth0 below it has 1400
        NK016 vx0: its MTU of 1450 and its 50 bytes of headers do not fit eth0, which has 1400: full packets are fragmented or dropped
        ");
    }

    #[test]
    fn a_bridge_that_was_set_by_hand_is_told() {
        insta::assert_snapshot!(check(
            r#"{"br0":{"index":2,"kind":"bridge","mtu":1450},"a":{"index":3,"kind":"dummy","mtu":1300,"master":2},
                "br1":{"index":4,"kind":"bridge","mtu":1500}}"#
        ), @"NK015 br0: its MTU of 1450 was set by hand: its ports allow 1300, and it no longer follows them");
    }

    #[test]
    fn a_port_that_is_smaller_than_others_is_told() {
        insta::assert_snapshot!(check(
            r#"{"cni0":{"index":2,"kind":"bridge","mtu":1450},"a":{"index":3,"kind":"veth","mtu":1450,"master":2},
                "b":{"index":4,"kind":"veth","mtu":1400,"master":2},
                "bond0":{"index":5,"kind":"bond","mtu":9000},"e0":{"index":6,"mtu":9000,"master":5},"e1":{"index":7,"mtu":1500,"up":true,"master":5},
                "vrf0":{"index":8,"kind":"vrf","mtu":65575},"e2":{"index":9,"mtu":1500,"master":8}}"#
        ), @r"
        NK014 bond0: its MTU is 9000 and its port e1 has 1500: larger packets by that port are dropped
        NK080 cni0: its ports have MTUs from 1400 to 1450: it drops packets above 1404 bytes, or above 1400 where br_netfilter gives them to the firewall of IP, on the way to b, without an ICMP error
        ");
    }

    #[test]
    fn a_port_that_is_down_and_the_taps_of_virtual_machines_are_no_fault() {
        assert_eq!(
            check(
                r#"{"bond0":{"index":5,"kind":"bond","mtu":9000},"e0":{"index":6,"mtu":9000,"up":true,"master":5},
                    "e1":{"index":7,"mtu":1500,"up":false,"master":5}}"#
            ),
            ""
        );
        let tap = |mtu: u32| {
            check(&format!(
                r#"{{"vmbr0":{{"index":2,"kind":"bridge","mtu":1500}},"e0":{{"index":3,"mtu":9000,"up":true,"master":2}},
                    "tap100i0":{{"index":4,"kind":"tun","mtu":{mtu},"up":true,"master":2}}}}"#
            ))
        };
        assert_eq!(tap(1500), "");
        assert!(tap(1400).starts_with("NK080 vmbr0"), "{}", tap(1400));
    }

    #[test]
    fn the_firewall_of_ip_lowers_what_a_bridge_lets_through() {
        let bridge = r#"{"br0":{"index":2,"kind":"bridge","mtu":1400},"a":{"index":3,"kind":"veth","mtu":1500,"master":2},
            "b":{"index":4,"kind":"veth","mtu":1400,"master":2}}"#;
        let limit = |ipv4: &str, ipv6: &str| {
            let sysctls = format!(
                r#""net/bridge/bridge-nf-call-iptables":{ipv4},"net/bridge/bridge-nf-call-ip6tables":{ipv6}"#
            );
            let found = check_with(&sysctls, bridge);
            let (_, rest) = found.split_once("it drops packets above ").unwrap();
            rest.split_once(" on the way").unwrap().0.to_owned()
        };
        let (on, off) = (
            r#"{"value":"1","writable":true}"#,
            r#"{"value":"0","writable":true}"#,
        );
        let both = "1404 bytes, or above 1400 where br_netfilter gives them to the firewall of IP,";
        assert_eq!(limit(on, on), "1400 bytes");
        assert_eq!(limit("null", "null"), "1404 bytes");
        // The bridge's own settings were not read.
        assert_eq!(limit(off, off), both);
        assert_eq!(limit(on, "null"), both);
    }

    #[test]
    fn a_tunnel_of_open_vswitch_must_not_limit_packets() {
        let check = |name: &str, mtu: u32| {
            check(&format!(
                r#"{{"{name}":{{"index":5,"kind":"geneve","mtu":{mtu}}}}}"#
            ))
        };
        assert_eq!(check("genev_sys_6081", 65000), "");
        assert_eq!(check("vxlan_sys_4789", 65485), "");
        assert_eq!(check("gre_sys", 1450), "");
        insta::assert_snapshot!(
            check("genev_sys_6081", 1450),
            @"NK017 genev_sys_6081: its MTU is 1450: Open vSwitch gives it the largest that it can have, since it serves tunnels over every underlay"
        );
    }
}
