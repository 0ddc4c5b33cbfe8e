//! The MTUs of pods on a host whose CNI is not known.

use std::collections::BTreeMap;

use crate::cni::{leaves_otherwise, split};
use netkeel_core::finding::{Code, Findings};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// The MTUs of pods on a host, whatever their CNI: the bytes of a packet that a pod can send, and how many
/// pods can. Pods whose packets need not leave by a route of the host are left out.
pub fn pods(host: &Snapshot) -> BTreeMap<i64, usize> {
    let links = host.links.values().map(AsRef::as_ref);
    packets(links.filter(|link| link.leads_into_a_pod() && !leaves_otherwise(host, link)))
}

fn packets<'a>(links: impl Iterator<Item = &'a Link>) -> BTreeMap<i64, usize> {
    let mut found = BTreeMap::new();
    for link in links {
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
    for (mtu, number) in pods(host) {
        if mtu > underlay {
            let message = too_large(mtu, number, underlay, from);
            findings.add(Code::NK047, veths(number), message, remedy.as_str());
        }
    }
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
    packets(split(host, cni).1.into_iter())
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
}
