//! Findings on forwarding: default routes that routers announced (IPv6 router advertisements) and that it removes, and
//! pods and containers that need it.

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::device_owner::keeper;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::{Family, PathRoute};
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::routes::preferred_default_routes;
use netkeel_plan::loss::Loss;
use netkeel_plan::plan::Step;

/// The names that CNIs give to the devices of pods, where the host routes to each.
const OF_PODS: &[&str] = &["cali", "eni", "azv", "gke", "lxc"];

/// The default routes that a step removes.
pub(crate) fn lost(step: &Step, findings: &mut Findings) {
    for loss in &step.undo.loses {
        if let Loss::AnnouncedRoutes { link } = loss {
            findings.add(
                Code::NK029,
                link,
                format!("`{}` removes its default routes that routers announced", step.op),
                format!(
                    "declare {}: 2, which keeps them with forwarding on",
                    SysctlKey::conf("ipv6", *link, "accept_ra")
                ),
            );
        }
    }
}

/// Reports interfaces that do not forward IPv4 and on which packets of pods or containers arrive, or the answers to
/// them. The kernel asks the interface that a packet arrives on (`ip_route_input_slow`, net/ipv4/route.c). Whether pods
/// use IPv6 is not known.
pub(crate) fn off(host: &Snapshot, findings: &mut Findings) {
    let is_off = |link: &Link| link.up && link.forwarding == Some(0);
    let pods = host
        .links
        .iter()
        .filter(|(name, link)| is_off(link) && routes_for_others(host, **name, link));
    let mut ways: Vec<LinkName> = pods.map(|(name, _)| *name).collect();
    if ways.is_empty() {
        return;
    }
    let defaults = preferred_default_routes(host, Some(Family::Ipv4), &|_| true);
    let defaults = defaults.into_iter().flatten().map(|(name, ..)| name);
    ways.extend(defaults.filter(|name| host.link(*name).is_some_and(is_off)));
    let remedy = match host.sysctl_number("net/ipv4/ip_forward") {
        Some(1) => "set net.ipv4.conf.IFACE.forwarding of it to 1: net.ipv4.ip_forward is 1 already",
        _ => {
            "set net.ipv4.ip_forward to 1: a baseline that wants 0 is meant for hosts without pods and containers"
        }
    };
    for name in ways {
        findings.add(
            Code::NK064,
            name,
            "forwarding is off, and packets of pods or containers, or answers to them, arrive on it: the kernel drops them",
            remedy,
        );
    }
}

/// Whether pods or containers behind a device reach other hosts by the routes of this one. A veth that no CNI made may
/// serve this host alone.
fn routes_for_others(host: &Snapshot, name: LinkName, link: &Link) -> bool {
    match link.kind_name() {
        "veth" | "netkit" if link.leads_into_a_pod() && link.master.is_none() && !stays(host, name) => {
            let mut of_pods = OF_PODS.iter().map(|prefix| prefix.as_bytes());
            let sandbox = link.pod.as_ref().and_then(|end| end.sandbox.as_ref());
            of_pods.any(|prefix| name.as_bytes().starts_with(prefix))
                || link.pod.as_ref().is_some_and(|end| end.kept_by.is_some())
                || sandbox.is_some_and(|sandbox| sandbox.path.to_string_lossy().contains("/netns/cni-"))
        }
        "bridge" => is_routed(host, name, link),
        _ => false,
    }
}

/// Whether a bridge joins containers, and the host is their router: it has an address there, and no port leads to a
/// network beside it. Where the addresses were not read, the bridges of known programs count.
fn is_routed(host: &Snapshot, name: LinkName, bridge: &Link) -> bool {
    let has_address = match host.families.ipv4 {
        true => bridge.has_ipv4(),
        false => keeper(&name.to_string()).is_some(),
    };
    let ports = || {
        let links = host.links.iter();
        links.filter(|(_, link)| link.master == Some(bridge.index))
    };
    let is_of_machine = |port: &Link| port.leads_into_a_pod() || port.kind_name() == "tun";
    has_address
        && ports().any(|(name, port)| port.leads_into_a_pod() && !stays(host, *name))
        && ports().all(|(_, port)| is_of_machine(port))
}

/// Whether a pod is known to have no route by a router: it reaches its own network and no other. Where its routes were not
/// read, one without a default route by this end counts as such: other routes by a router are rare.
fn stays(host: &Snapshot, name: LinkName) -> bool {
    let pods = host.forwarding.as_ref().map(|ways| &ways.pods);
    let Some(pod) = pods.and_then(|pods| pods.get(&name)) else {
        let end = host.link(name).and_then(|link| link.pod.as_ref());
        return end.is_some_and(|end| end.leads_out == Some(false));
    };
    let is_known = !pod.routes.more && !pod.other_rules.contains(&Family::Ipv4);
    let is_on_link = |route: &PathRoute| {
        route.destination.prefix_len() > 0 && route.hops().iter().all(|hop| hop.via.is_none())
    };
    is_known && pod.routes.routes.iter().all(is_on_link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(links: &str, ipv4: bool) -> String {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":{ipv4},"ipv6":false}},"sysctls":{{}},"links":{{
                "eth0":{{"index":2,"mtu":1500,"up":true,"forwarding":0,"addresses":["192.0.2.1/24"]}},{links}}},
                "default_routes":[{{"link":"eth0","family":"ipv4"}}]}}"#
        );
        let mut findings = Findings::default();
        off(&Snapshot::from_json(&text).unwrap(), &mut findings);
        let found = findings.into_sorted().into_iter();
        found.map(|one| format!("{};", one.subjects.join(","))).collect()
    }

    #[test]
    fn pods_and_routed_bridges_need_forwarding() {
        let veth = |name: &str, forwarding: u32, more: &str| {
            format!(
                r#""{name}":{{"index":5,"kind":"veth","lower":6,"peer_netns":1,"mtu":1500,"up":true,"forwarding":{forwarding}{more}}}"#
            )
        };
        assert_eq!(check(&veth("cali1", 0, ""), true), "cali1,eth0;");
        assert_eq!(check(&veth("cali1", 1, ""), true), "");
        // A namespace of an operator, and the NIC of a container.
        assert_eq!(check(&veth("vnf0", 0, ""), true), "");
        let bridge = |more: &str, port: &str| {
            let port = veth("veth1", 0, &format!(r#","master":{port}"#));
            format!(
                r#""docker0":{{"index":7,"kind":"bridge","mtu":1500,"up":true,"forwarding":0{more}}},{port}"#
            )
        };
        let addressed = r#","addresses":["172.17.0.1/16"]"#;
        assert_eq!(check(&bridge(addressed, "7"), true), "docker0,eth0;");
        // A network of Docker with `--internal`.
        let end = |leads: bool| {
            let pod = format!(r#"7,"pod":{{"index":2,"name":"eth0","mtu":1500,"leads_out":{leads}}}"#);
            check(&bridge(addressed, &pod), true)
        };
        assert_eq!((end(true).as_str(), end(false).as_str()), ("docker0,eth0;", ""));
        assert_eq!(check(&bridge("", "7"), false), "docker0,eth0;");
        // Without a container, and without an address: a network beside the host.
        assert_eq!(check(&bridge(addressed, "9"), true), "");
        assert_eq!(check(&bridge("", "7"), true), "");
        let uplink = r#","eth1":{"index":9,"mtu":1500,"up":true,"master":7}"#;
        assert_eq!(check(&(bridge(addressed, "7") + uplink), true), "");
    }
}
