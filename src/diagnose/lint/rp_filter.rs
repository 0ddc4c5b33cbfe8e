//! Reverse path filtering whose effect differs from its setting.

use std::cell::LazyCell;

use ipnet::IpNet;

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::rp_filter::{Verdict, effective};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
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
    let routed_by_a_cni = LazyCell::new(|| detect(host).is_some());
    let tunnels = host.links.iter().filter(|(name, link)| {
        let drops = takes_any_sender(link) || (serves(**name, link) && !*routed_by_a_cni);
        drops && !judged(**name)
    });
    for (name, link) in tunnels {
        let Some(own) = link.rp_filter.map(i64::from) else {
            continue;
        };
        let effective = effective(all, own, link.has_ipv4() || !host.families.ipv4);
        if effective.verdict != Verdict::Accept {
            let message = format!(
                "its effective rp_filter is {}: the packets that it decapsulates are dropped",
                effective.value
            );
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

/// A tunnel of IP in IP for packets of any sender. Other devices that take their headers from each packet, as
/// `vxlan external`, hand frames to a bridge, a datapath or a BPF program, and rp_filter does not see those.
fn takes_any_sender(link: &Link) -> bool {
    link.external && link.master.is_none() && TunnelKind::from_word(link.kind_name()).is_some()
}

/// A fallback device that is up and holds nothing but virtual addresses, each with its whole length: the real
/// server of a load balancer (LVS-TUN). A CNI routes packets back by the device.
fn serves(name: LinkName, link: &Link) -> bool {
    let is_fallback = TunnelKind::ALL
        .iter()
        .any(|kind| name.as_bytes() == kind.fallback_device().as_bytes());
    let mut ipv4 = link.addresses.iter().filter_map(|address| match address {
        IpNet::V4(net) => Some(net.prefix_len()),
        IpNet::V6(_) => None,
    });
    let first = ipv4.next();
    is_fallback && link.up && first == Some(32) && ipv4.all(|length| length == 32)
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
}
