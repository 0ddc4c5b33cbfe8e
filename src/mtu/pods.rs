//! The MTUs of pods on a host whose CNI is not known.

use std::collections::BTreeMap;

use crate::cni::{leaves_otherwise, loads_generic, split};
use crate::nodes::is_overlay;
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::Link;

/// The MTUs of pods on a host, whatever their CNI: the bytes of a packet that a pod can send, and how many
/// pods can. Pods whose packets need not leave by a route of the host are left out.
pub fn pods(host: &Snapshot) -> BTreeMap<i64, usize> {
    let links = host.links.values().map(AsRef::as_ref);
    packets(
        host,
        links.filter(|link| link.leads_into_a_pod() && !leaves_otherwise(host, link)),
    )
}

/// Whether the routes of the other namespace lead elsewhere by default than by this veth: then it is no pod whose packets
/// the host forwards to everywhere, but a link to a router, or a further network of a pod.
fn has_another_way_out(host: &Snapshot, link: &Link) -> bool {
    let Some(end) = &link.pod else {
        return false;
    };
    if end.leads_out == Some(false) {
        return true;
    }
    let Some(forwarding) = host.forwarding.as_deref() else {
        return false;
    };
    let name = host.by_index(link.index).map(|(name, _)| name);
    let Some(pod) = name.and_then(|name| forwarding.pods.get(&name)) else {
        return false;
    };
    if !pod.other_rules.is_empty() {
        return false;
    }
    let defaults = [Family::Ipv4, Family::Ipv6].map(|family| pod.routes.defaults(family));
    let mut hops = defaults.iter().flatten().flat_map(|route| route.hops());
    !hops.any(|hop| hop.link == end.name)
}

fn packets<'a>(host: &Snapshot, links: impl Iterator<Item = &'a Link>) -> BTreeMap<i64, usize> {
    let mut found = BTreeMap::new();
    for link in links.filter(|link| !has_another_way_out(host, link)) {
        // Neither end lets a larger packet out than its own MTU.
        let pod = link.pod.as_ref().map(|pod| pod.largest_packet());
        let mtu = pod.map_or(link.mtu, |pod| pod.min(link.mtu));
        *found.entry(mtu.into()).or_default() += 1;
    }
    found
}

/// Reports pods whose packets do not fit the underlay, on a host whose CNI is not known: nothing then shows
/// an encapsulation, which would leave even less.
pub fn judge_pods(host: &Snapshot, underlay: i64, from: &str, findings: &mut Findings) {
    let remedy = format!(
        "give pods {underlay}, less what their CNI adds to packets; `--underlay` names another underlay"
    );
    let tunnel = tunnel_of_kube_router(host);
    for (mtu, number) in pods(host) {
        if mtu > underlay {
            let message = too_large(mtu, number, underlay, from);
            findings.add(Code::NK047, veths(number), message, remedy.as_str());
        } else if let Some((name, link)) = tunnel
            && mtu > i64::from(link.mtu)
        {
            let from = format!("{name}, a tunnel of kube-router to another node,");
            let message = too_large(mtu, number, link.mtu.into(), &from);
            let remedy = format!("set `mtu` to {} in the configuration of the plugin", link.mtu);
            findings.add(Code::NK047, veths(number), message, remedy);
        }
    }
}

/// The smallest tunnel of kube-router (`tun-` and a hash of the node's address, pkg/tunnels), where the runtime loads a
/// plugin of no CNI's own.
fn tunnel_of_kube_router(host: &Snapshot) -> Option<(LinkName, &Link)> {
    let links = host.links.iter().map(|(name, link)| (*name, link.as_ref()));
    let tunnels = links.filter(|(name, link)| {
        let kind = matches!(link.kind_name(), "ipip" | "ip6tnl" | "sit");
        link.up && kind && name.as_bytes().starts_with(b"tun-")
    });
    let is_generic = loads_generic(host);
    tunnels.filter(|_| is_generic).min_by_key(|(_, link)| link.mtu)
}

/// The tunnels that are up and smaller than a pod, by name and MTU. Where no CNI is known, packets of pods may leave by them.
pub fn smaller_tunnels(host: &Snapshot) -> Vec<String> {
    let largest = pods(host).into_keys().next_back().unwrap_or_default();
    let links = host.links.iter();
    let smaller = links.filter(|(_, link)| link.up && is_overlay(link) && i64::from(link.mtu) < largest);
    smaller
        .map(|(name, link)| format!("{name} {}", link.mtu))
        .collect()
}

/// Reports containers of other programs than the CNI whose packets do not fit the underlay. No tunnel carries them.
pub fn judge_containers(host: &Snapshot, cni: &str, underlay: i64, from: &str, findings: &mut Findings) {
    for (mtu, number) in containers(host, cni) {
        if mtu > underlay {
            let subject = match number {
                1 => "1 veth into a container".to_owned(),
                _ => format!("{number} veths into containers"),
            };
            let message = too_large(mtu, number, underlay, from);
            let remedy = format!("give the network of the containers {underlay}; {cni} has no part in it");
            findings.add(Code::NK047, subject, message, remedy);
        }
    }
}

/// The MTUs of containers of other programs than the CNI, as [`pods`].
pub fn containers(host: &Snapshot, cni: &str) -> BTreeMap<i64, usize> {
    packets(host, split(host, cni).1.into_iter())
}

fn too_large(mtu: i64, number: usize, underlay: i64, from: &str) -> String {
    let (have, their) = match number {
        1 => ("it has", "its"),
        _ => ("they have", "their"),
    };
    format!(
        "{have} an MTU of {mtu}, and {their} packets leave over {from} with {underlay}: full packets are {} bytes too large",
        mtu - underlay
    )
}

/// The veths of the pods of a CNI. Those of other programs' containers are none.
pub fn of_cni<'a>(host: &'a Snapshot, cni: &str) -> Vec<&'a Link> {
    split(host, cni).0
}

/// Veths into pods, as text.
pub(crate) fn veths(number: usize) -> String {
    match number {
        1 => "1 veth into a pod".to_owned(),
        _ => format!("{number} veths into pods"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(links: &str) -> String {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{links}}}"#
        );
        let mut findings = Findings::default();
        judge_pods(&Snapshot::from_json(&text).unwrap(), 1450, "eth0", &mut findings);
        let lines = findings
            .into_sorted()
            .into_iter()
            .map(|one| format!("{}: {}", one.subjects.join(","), one.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_smaller_end_of_a_veth_limits_the_packets_of_a_pod() {
        let veth = |name: &str, index: u32, mtu: u32, pod: &str| {
            format!(r#""{name}":{{"index":{index},"kind":"veth","mtu":{mtu},"lower":2,"peer_netns":1{pod}}}"#)
        };
        let pod = |mtu: u32| format!(r#","pod":{{"index":2,"name":"eth0","mtu":{mtu}}}"#);
        assert_eq!(judged(&format!("{{{}}}", veth("a", 3, 1500, &pod(1450)))), "");
        assert_eq!(judged(&format!("{{{}}}", veth("a", 3, 1400, &pod(1500)))), "");
        assert_eq!(
            judged(&format!("{{{}}}", veth("a", 3, 9000, &pod(1500)))),
            "1 veth into a pod: it has an MTU of 1500, and its packets leave over eth0 with 1450: full packets are 50 bytes too large"
        );
        let two = format!(
            "{{{},{}}}",
            veth("a", 3, 1500, &pod(1500)),
            veth("b", 4, 1500, "")
        );
        assert_eq!(
            judged(&two),
            "2 veths into pods: they have an MTU of 1500, and their packets leave over eth0 with 1450: full packets are 50 bytes too large"
        );
    }

    #[test]
    fn a_veth_to_a_router_is_no_pod() {
        let other = |defaults: &str| {
            let links = r#"{"ens3":{"index":2,"mtu":1500,"up":true},"vnf0":{"index":3,"kind":"veth","mtu":9000,"lower":2,"peer_netns":1,
                "addresses":["10.60.0.1/30"],"pod":{"sandbox":{"path":"/run/netns/vnf","inode":4},"index":2,"name":"vnf1","mtu":9000}}}"#;
            let forwarding = format!(
                r#","forwarding":{{"pods":{{"vnf0":{{"addresses":["10.60.0.2/30"],"routes":{{"routes":[{defaults}]}},"neighbours":[]}}}}}}"#
            );
            judged(&format!("{links}{forwarding}"))
        };
        let by = |link: &str| {
            format!(
                r#"{{"destination":"0.0.0.0/0","to":{{"hops":[{{"link":"{link}","via":"10.60.0.1"}}]}}}}"#
            )
        };
        assert_eq!(other(&by("wan0")), "");
        assert_eq!(other(""), "");
        assert!(other(&by("vnf1")).contains("9000"));
        // Without the routes of all pods, the end itself says so.
        let end = |leads: &str| {
            let links = r#"{"vnf0":{"index":3,"kind":"veth","mtu":9000,"lower":2,"peer_netns":1,"pod":{"index":2,"name":"vnf1","mtu":9000LEADS}}}"#;
            judged(&links.replace("LEADS", leads))
        };
        assert_eq!(end(r#","leads_out":false"#), "");
        assert!(end(r#","leads_out":true"#).contains("9000") && end("").contains("9000"));
    }

    #[test]
    fn a_tunnel_of_kube_router_limits_the_pods_of_a_generic_plugin() {
        let veth = r#"{"veth1":{"index":3,"kind":"veth","mtu":1450,"lower":2,"peer_netns":1},"tun-e443169117a":{"index":4,"kind":"ipip","mtu":1430,"up":true}}"#;
        let plugin = |kind: &str| {
            format!(
                r#","cni":{{"runtime":{{"directory":"/d"}},"files":{{"/d/10-x.conflist":{{"sha256":"","plugins":[{{"type":"{kind}","at":"plugins[0].mtu"}}]}}}}}}"#
            )
        };
        let expected = "1 veth into a pod: it has an MTU of 1450, and its packets leave over tun-e443169117a, a tunnel of kube-router to another node, with 1430: full packets are 20 bytes too large";
        assert_eq!(judged(&format!("{veth}{}", plugin("bridge"))), expected);
        assert_eq!(judged(veth), "");
    }
}
