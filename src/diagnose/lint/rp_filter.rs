//! Reverse path filtering whose effect differs from its setting.

use std::cell::LazyCell;
use std::net::IpAddr;

use ipnet::IpNet;

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::rp_filter::{Verdict, effective};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::{Link, comes_in_pairs};
use netkeel_mtu::detect::detect;

pub(crate) fn check(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    if host.sysctl_number("net/ipv4/conf/all/rp_filter") == Some(2) {
        for (name, link) in &host.links {
            // Felix sets its pods' interfaces to strict. Loose drops packets on an interface without an
            // address, and lets pods spoof on one with an address.
            let loosened = link.rp_filter == Some(1);
            if loosened && name.as_bytes().starts_with(b"cali") && wanted(*name) {
                let message = "Calico set its rp_filter to 1 (strict) and it is effectively 2 (loose): net.ipv4.conf.all.rp_filter is 2 and the larger counts";
                findings.add(
                    Code::NK018,
                    name,
                    message,
                    "set net.ipv4.conf.all.rp_filter to 0, and each other interface as it should be",
                );
            }
        }
    }
    let fallback = TunnelKind::Ipip
        .fallback_device()
        .parse()
        .ok()
        .and_then(|name: LinkName| host.links.get(&name));
    if fallback.is_some_and(|link| link.up) {
        let external = host
            .links
            .iter()
            .filter(|(name, link)| wanted(**name) && link.external && link.kind_name() == "ipip");
        for (name, _) in external {
            let message = "tunl0 is up too, as it is where Calico runs IPIP: both tunnels accept any sender, and the newer one gets every packet";
            findings.add(
                Code::NK020,
                name,
                message,
                "switch Calico to VXLAN or no encapsulation, or remove the tunnel",
            );
        }
    }
}

/// Tunnels that drop the packets that they decapsulate. A plan judges the tunnels that it wants itself.
pub(crate) fn tunnels(host: &Snapshot, findings: &mut Findings) {
    tunnels_but(host, &|_| false, findings);
}

/// As [`tunnels`], without those that are judged elsewhere.
pub(crate) fn tunnels_but(host: &Snapshot, judged: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    let Some(all) = host.sysctl_number("net/ipv4/conf/all/rp_filter") else {
        return;
    };
    let has_cni = LazyCell::new(|| detect(host).is_some());
    for (name, link) in host.links.iter().filter(|(name, _)| !judged(**name)) {
        let is_served = || serves(host, *name, link) && !*has_cni && !is_way_back(host, *name);
        let is_certain = takes_any_sender(link);
        if !is_certain && !is_served() {
            continue;
        }
        let Some(own) = link.rp_filter.map(i64::from) else {
            continue;
        };
        let effective = effective(all, own, link.has_ipv4() || !host.families.ipv4);
        if effective.verdict != Verdict::Accept {
            let fate = match is_certain || host.cni.is_some() || host.next_hops.is_some() {
                true => "the packets that it decapsulates are dropped",
                false => {
                    "the packets that it decapsulates are dropped, unless a CNI that was not read routes back by it"
                }
            };
            let message = format!("its effective rp_filter is {}: {fate}", effective.value);
            let remedy = match all {
                0 => "set its rp_filter to 0",
                _ => {
                    "set net.ipv4.conf.all.rp_filter and its own to 0, and each other interface as it should be"
                }
            };
            findings.add(Code::NK009, name, message, remedy);
        }
    }
}

/// Devices of Cilium on which the effective rp_filter drops packets. Its agent and its plugin switch it off on each
/// (pkg/datapath/linux/sysctl), and `all` counts all the same.
pub(crate) fn of_cilium(host: &Snapshot, findings: &mut Findings) {
    let Some(all) = host.sysctl_number("net/ipv4/conf/all/rp_filter") else {
        return;
    };
    for (name, link) in host.links.iter().filter(|(name, _)| is_of_cilium(host, **name)) {
        let Some(own) = link.rp_filter.map(i64::from) else {
            continue;
        };
        let effective = effective(all, own, link.has_ipv4() || !host.families.ipv4);
        if !link.up || effective.verdict == Verdict::Accept || leads_back(host, *name) {
            continue;
        }
        let message = format!(
            "its effective rp_filter is {}: packets that arrive on it and that Cilium leaves to the kernel are dropped unless a route leads back by it, and Cilium usually has one route for all pods, by cilium_host",
            effective.value
        );
        let remedy = match all {
            0 => "set its rp_filter to 0",
            _ => "set net.ipv4.conf.all.rp_filter and its own to 0, and each other interface as it should be",
        };
        findings.add(Code::NK063, name, message, remedy);
    }
}

/// Whether a device is one of Cilium's, on a host where it runs.
pub(crate) fn is_of_cilium(host: &Snapshot, name: LinkName) -> bool {
    let is_pair = |name: LinkName| {
        host.link(name)
            .is_some_and(|link| comes_in_pairs(link.kind_name()))
    };
    // LXC has a bridge lxcbr0.
    let is_of_pod = name.as_bytes().starts_with(b"lxc") && is_pair(name);
    let is_own = is_of_pod || name.as_bytes().starts_with(b"cilium_");
    is_own && host.links.keys().any(|link| link.as_bytes() == b"cilium_host")
}

/// Whether the routes to all addresses of a pod are known to leave by its device.
fn leads_back(host: &Snapshot, name: LinkName) -> bool {
    let known = || {
        let ways = host.forwarding.as_ref()?;
        let routes = ways.routes.as_ref()?;
        // Cilium's own rules choose by marks, and the kernel looks for the way back without the mark. It moves the rule of the
        // table local (`NodeEnsureLocalRoutingRule`).
        let with_mark = host.sysctl_number("net/ipv4/conf/all/src_valid_mark") == Some(1);
        let unmarked = host.policy_routing.as_ref().filter(|_| !with_mark);
        let has_rules = match unmarked {
            Some(families) => families.contains(&Family::Ipv4),
            None => ways.other_rules.as_ref()?.contains(&Family::Ipv4),
        };
        let mut addresses = ways.pods.get(&name)?.addresses.iter().map(IpNet::addr);
        let by_it = |address: IpAddr| {
            let route = routes.to(address).ok().flatten();
            route.is_some_and(|route| route.hops().iter().any(|hop| hop.link == name))
        };
        Some(!has_rules && addresses.clone().next().is_some() && addresses.all(by_it))
    };
    known() == Some(true)
}

/// A tunnel of IP in IP for packets of any sender. Other devices that take their headers from each packet, as
/// `vxlan external`, hand frames to a bridge, a datapath or a BPF program, and rp_filter does not see those.
fn takes_any_sender(link: &Link) -> bool {
    link.external && link.master.is_none() && TunnelKind::from_word(link.kind_name()).is_some()
}

/// A fallback device that is up on the real server of a load balancer (LVS-TUN): it or lo holds virtual addresses, each
/// with its whole length, and it has no other. A CNI routes packets back by the device.
fn serves(host: &Snapshot, name: LinkName, link: &Link) -> bool {
    let is_fallback = TunnelKind::ALL
        .iter()
        .any(|kind| name.as_bytes() == kind.fallback_device().as_bytes());
    if !is_fallback || !link.up || !host.families.ipv4 {
        return false;
    }
    let is_virtual = |address: &IpNet| address.prefix_len() == 32 && !address.addr().is_loopback();
    let ipv4 = |link: &Link| -> Vec<IpNet> {
        let addresses = link.addresses.iter().copied();
        addresses.filter(|address| address.addr().is_ipv4()).collect()
    };
    let own = ipv4(link);
    let on_lo = || {
        let lo = "lo".parse().ok().and_then(|lo| host.link(lo));
        lo.is_some_and(|lo| ipv4(lo).iter().any(is_virtual))
    };
    match own.is_empty() {
        true => on_lo(),
        false => own.iter().all(is_virtual),
    }
}

/// Whether a route is known to lead to a router by the tunnel: packets to the senders leave by it.
fn is_way_back(host: &Snapshot, name: LinkName) -> bool {
    let mut hops = host.next_hops.iter().flatten();
    hops.any(|hop| hop.link == name && !hop.ipv6)
}

#[cfg(test)]
mod tests {
    use netkeel_host::snapshot::Snapshot;

    #[test]
    fn tunnels_and_pods_are_judged_by_the_effect() {
        let text = r#"{"format":1,"netns":null,"kernel":"6.1","families":{"ipv4":true,"ipv6":true},
            "sysctls":{"net/ipv4/conf/all/rp_filter":{"value":"2","writable":true}},
            "links":{"cali0":{"index":2,"kind":"veth","rp_filter":1},"tunl0":{"index":3,"kind":"ipip","up":true,"rp_filter":0},
                     "ipip0":{"index":4,"kind":"ipip","external":true,"rp_filter":0}}}"#;
        let findings = crate::lint::host::host(&Snapshot::from_json(text).unwrap());
        let lines: Vec<String> = findings
            .iter()
            .map(|f| format!("{} {}", f.code, f.subjects.join(",")))
            .collect();
        assert_eq!(lines, ["NK009 ipip0", "NK018 cali0", "NK020 ipip0"]);
    }

    #[test]
    fn the_devices_of_cilium_need_it_off() {
        let check = |all: u32, own: u32, more: &str| {
            let device =
                |kind: &str| format!(r#"{{"mtu":1500,"up":true,"kind":"{kind}","rp_filter":{own}}}"#);
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},
                "sysctls":{{"net/ipv4/conf/all/rp_filter":{{"value":"{all}","writable":true}}}},
                "links":{{"lxc1":{},"{more}":{},"veth1":{},"lxcbr0":{}}}}}"#,
                device("veth"),
                device("veth"),
                device("veth"),
                device("bridge"),
            );
            let findings = crate::lint::host::host(&Snapshot::from_json(&text).unwrap());
            let lines = findings
                .iter()
                .map(|found| format!("{} {}", found.code, found.subjects.join(",")));
            lines.collect::<String>()
        };
        assert_eq!(check(0, 0, "cilium_host"), "");
        for (all, own) in [(1, 0), (2, 0), (0, 1), (0, 2)] {
            assert_eq!(check(all, own, "cilium_host"), "NK063 cilium_host,lxc1");
            // Without Cilium nobody says that another interface has the way back.
            assert_eq!(check(all, own, "eth0"), "");
        }
    }

    #[test]
    fn a_route_to_each_pod_leads_back_beside_the_rules_of_cilium() {
        let check = |more: &str, via: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},
                "sysctls":{{"net/ipv4/conf/all/rp_filter":{{"value":"1","writable":true}}{more}}},
                "links":{{"lxc1":{{"index":3,"mtu":1500,"up":true,"kind":"veth","lower":2,"peer_netns":0,"rp_filter":0}},
                    "cilium_host":{{"index":4,"mtu":1500,"kind":"veth"}}}},
                "policy_routing":[],
                "forwarding":{{"routes":{{"routes":[{{"destination":"10.0.1.7/32","to":{{"hops":[{{"link":"{via}"}}]}}}}]}},
                    "other_rules":["ipv4"],"pods":{{"lxc1":{{"addresses":["10.0.1.7/32"],"routes":{{"routes":[]}},"neighbours":[]}}}}}}}}"#
            );
            let findings = crate::lint::host::host(&Snapshot::from_json(&text).unwrap());
            findings
                .iter()
                .map(|found| found.code.to_string())
                .collect::<String>()
        };
        assert_eq!(check("", "lxc1"), "");
        assert_eq!(check("", "cilium_host"), "NK063");
        // The mark may choose another table.
        let marked = r#","net/ipv4/conf/all/src_valid_mark":{"value":"1","writable":true}"#;
        assert_eq!(check(marked, "lxc1"), "NK063");
    }

    /// The findings on one tunnel, with `all` at 0.
    fn tunnel(name: &str, link: &str) -> Vec<String> {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},
            "sysctls":{{"net/ipv4/conf/all/rp_filter":{{"value":"0","writable":true}}}},
            "links":{{"ovs-system":{{"index":2,"kind":"openvswitch"}},"{name}":{{"index":3,"up":true,{link}}}}}}}"#
        );
        let findings = crate::lint::host::host(&Snapshot::from_json(&text).unwrap());
        findings.iter().map(|found| found.code.to_string()).collect()
    }

    #[test]
    fn frames_that_no_ip_stack_takes_are_not_filtered() {
        let loose = r#""external":true,"rp_filter":2,"mtu":65000"#;
        let genev = tunnel(
            "genev_sys_6081",
            &format!(r#""kind":"geneve","master":2,{loose}"#),
        );
        assert_eq!(genev, [""; 0]);
        assert_eq!(
            tunnel("cilium_vxlan", &format!(r#""kind":"vxlan",{loose}"#)),
            [""; 0]
        );
        assert_eq!(tunnel("ipip0", &format!(r#""kind":"ipip",{loose}"#)), ["NK009"]);
    }

    #[test]
    fn a_real_server_of_lvs_is_judged_by_its_virtual_addresses() {
        let tunl0 = |rp_filter: u32, addresses: &str| {
            let link = format!(r#""kind":"ipip","rp_filter":{rp_filter},"addresses":[{addresses}]"#);
            tunnel("tunl0", &link)
        };
        assert_eq!(tunl0(1, r#""198.51.100.200/32""#), ["NK009"]);
        assert_eq!(tunl0(0, r#""198.51.100.200/32""#), [""; 0]);
        // Routes lead to it.
        assert_eq!(tunl0(1, r#""10.0.0.1/24""#), [""; 0]);
        assert_eq!(tunl0(1, ""), [""; 0]);
    }

    /// The findings on a tunl0 that filters strictly, with other parts of the host.
    fn strict(addresses: &str, links: &str, parts: &str) -> String {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},
            "sysctls":{{"net/ipv4/conf/all/rp_filter":{{"value":"0","writable":true}}}},
            "links":{{"tunl0":{{"index":3,"kind":"ipip","up":true,"rp_filter":1,"mtu":1480,"addresses":[{addresses}]}}
            {links}}}{parts}}}"#
        );
        let findings = crate::lint::host::host(&Snapshot::from_json(&text).unwrap());
        findings.iter().map(|found| found.message.clone()).collect()
    }

    #[test]
    fn the_virtual_address_may_be_on_lo() {
        let lo = |address: &str| format!(r#","lo":{{"mtu":65536,"addresses":["127.0.0.1/8"{address}]}}"#);
        let read = r#","cni":{"files":{}}"#;
        let dropped = "its effective rp_filter is 1: the packets that it decapsulates are dropped";
        assert_eq!(strict("", &lo(r#","198.51.100.200/32""#), read), dropped);
        assert_eq!(strict("", &lo(""), read), "");
    }

    #[test]
    fn a_tunnel_of_a_cni_is_no_real_server() {
        let own = r#""10.244.31.0/32""#;
        let unless = "its effective rp_filter is 1: the packets that it decapsulates are dropped, unless a CNI that was not read routes back by it";
        assert_eq!(strict(own, "", ""), unless);
        // Calico's pods, although its configuration was not read.
        let pod = r#","cali1":{"index":5,"kind":"veth","mtu":1480,"lower":2,"peer_netns":0}"#;
        assert_eq!(strict(own, pod, ""), "");
        // A route to another node.
        let hops = r#","next_hops":[{"link":"tunl0","router":"192.0.2.7"}]"#;
        assert_eq!(strict(own, "", hops), "");
    }
}
