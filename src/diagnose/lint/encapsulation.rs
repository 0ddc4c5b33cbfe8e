//! Compares the MTU of pods with the MTU that the CNI's encapsulation leaves of its underlay.

use std::collections::BTreeMap;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Findings;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_mtu::detect::Detected;
use netkeel_mtu::judge::TooLarge;
use netkeel_mtu::pods::{containers, judge_containers, judge_pods, of_cni, pods};
use netkeel_mtu::underlay::{Underlay, least_of_all, preferred};

/// Checks a host with this CNI, if one was detected, whose underlay is known. Without a known CNI, pods must fit the underlay itself, and containers of
/// other programs than the CNI always.
pub(crate) fn check(
    host: &Snapshot,
    detected: Option<&Detected>,
    over: Option<Underlay>,
    findings: &mut Findings,
) -> TooLarge {
    let given = |over: Underlay| over.on(host);
    let Some(detected) = detected else {
        if let Ok((underlay, from)) = over.map_or_else(|| preferred(host, None), given) {
            judge_pods(host, underlay, &from, findings);
        }
        return TooLarge::default();
    };
    if let Ok((underlay, from)) = preferred(host, OF_CONTAINERS) {
        judge_containers(host, detected.cni, underlay, &from, findings);
    }
    let answer = over
        .map_or_else(|| detected.underlay(host), given)
        .and_then(|(underlay, from)| detected.answer(underlay, &from));
    match answer {
        Ok(answer) => detected.judge(host, &answer, findings),
        Err(_) => TooLarge::default(),
    }
}

/// Containers are masqueraded by IPv4. Over IPv6 most have no way out.
const OF_CONTAINERS: Option<Family> = Some(Family::Ipv4);

/// Why it is not known whether pods or containers fit their underlay, on a host that has some.
pub(crate) fn unjudged(
    host: &Snapshot,
    detected: Option<&Detected>,
    over: Option<Underlay>,
) -> Option<Error> {
    let given = |over: Underlay| over.on(host);
    // Without a default route of the table main, packets leave by no interface that is known.
    let unread = |error: Error| Some(error).filter(|error| error.kind == ErrorKind::Unreadable);
    // What fits all default routes fits the one by which it leaves.
    let fit = |mtus: BTreeMap<i64, usize>, family| {
        let largest = mtus.into_keys().next_back();
        largest.is_none_or(|largest| least_of_all(host, family).is_some_and(|least| largest <= least))
    };
    let Some(detected) = detected else {
        let is_known = over.is_some() || fit(pods(host), None);
        return preferred(host, None).err().filter(|_| !is_known).and_then(unread);
    };
    if !of_cni(host, detected.cni).is_empty() {
        let answer = over
            .map_or_else(|| detected.underlay(host), given)
            .and_then(|(underlay, from)| detected.answer(underlay, &from));
        // The CNI sends packets to other nodes by some interface: without a known one, nothing was judged.
        if let Err(error) = answer {
            return Some(error);
        }
    }
    if let Some(error) = detected.unplaced(host) {
        return Some(error);
    }
    let is_known = fit(containers(host, detected.cni), OF_CONTAINERS);
    let underlay = preferred(host, OF_CONTAINERS);
    underlay.err().filter(|_| !is_known).and_then(unread)
}

#[cfg(test)]
mod tests {
    use netkeel_host::snapshot::Snapshot;
    use netkeel_mtu::detect::detect;

    fn check(eth0: u32, route: &str) -> String {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                "eth0":{{"index":2,"mtu":{eth0},"up":true}},
                "eth1":{{"index":3,"mtu":9000,"up":true}},
                "veth1":{{"index":5,"kind":"veth","lower":6,"peer_netns":0,"mtu":1500,"up":true}},
                "veth2":{{"index":7,"kind":"veth","lower":6,"peer_netns":1,"mtu":1500,"up":true}},
                "veth3":{{"index":8,"kind":"veth","lower":9,"mtu":1500,"up":true}},
                "veth4":{{"index":9,"kind":"veth","lower":8,"mtu":1500,"up":true}}}},
                "default_routes":[{route}]}}"#
        );
        let host = Snapshot::from_json(&text).unwrap();
        let mut findings = netkeel_core::finding::Findings::default();
        super::check(&host, detect(&host).as_ref(), None, &mut findings);
        let found = findings.into_sorted().into_iter();
        found
            .map(|one| format!("{} {}: {}", one.code, one.subjects.join(","), one.message))
            .collect()
    }

    /// A host of Calico with a container of Docker: findings, and what was not judged.
    fn docker(container: u32, docker0: &str, routes: &str, links: &str) -> (String, String) {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                "eth0":{{"index":2,"mtu":1500,"up":true}},"he6":{{"index":3,"kind":"sit","mtu":1280,"up":true}},
                "eth1":{{"index":4,"mtu":9000,"up":true{docker0}}},
                "vxlan.calico":{{"index":5,"kind":"vxlan","mtu":1450,"lower":2,"up":true}},
                "br0":{{"index":6,"kind":"bridge","mtu":{container},"up":true}},
                "veth1":{{"index":7,"kind":"veth","lower":6,"peer_netns":1,"mtu":{container},"master":6,"up":true}}{links}}}
                {routes}}}"#
        );
        let host = Snapshot::from_json(&text).unwrap();
        let mut findings = netkeel_core::finding::Findings::default();
        super::check(&host, detect(&host).as_ref(), None, &mut findings);
        let found = findings
            .into_sorted()
            .into_iter()
            .map(|one| one.message)
            .collect();
        let unjudged = super::unjudged(&host, detect(&host).as_ref(), None)
            .map_or_else(String::new, |error| error.message);
        (found, unjudged)
    }

    const ROUTES: &str =
        r#","default_routes":[{"link":"eth0","family":"ipv4"},{"link":"he6","family":"ipv6"}]"#;

    #[test]
    fn a_container_must_fit_the_default_route_of_ipv4() {
        let none = (String::new(), String::new());
        assert_eq!(docker(1500, "", ROUTES, ""), none);
        let (found, _) = docker(9000, "", ROUTES, "");
        assert_eq!(
            found,
            "it has an MTU of 9000, and its packets leave over the default route's eth0 with 1500: full packets are 7500 bytes too large"
        );
        // A storage network: the bridge has an uplink of its own.
        assert_eq!(docker(9000, r#","master":6"#, ROUTES, ""), none);
    }

    #[test]
    fn what_was_not_read_for_containers_and_what_contradicts_is_said() {
        let unread = "the snapshot does not hold the default routes";
        assert_eq!(docker(1500, "", "", ""), (String::new(), unread.to_owned()));
        let two = r#","antrea-gw0":{"index":20,"mtu":1450,"up":true},"ovs-system":{"index":21,"kind":"openvswitch"},
            "genev_sys_6081":{"index":22,"mtu":65000,"up":true},"vxlan_sys_4789":{"index":23,"mtu":65000,"up":true},
            "pod1":{"index":24,"kind":"veth","lower":6,"peer_netns":2,"mtu":1450,"master":21,"up":true},
            "vxlan.calico":{"index":5,"up":false}"#;
        let (_, unjudged) = docker(1500, "", ROUTES, two);
        assert!(unjudged.contains("`geneve` and `vxlan`"), "{unjudged}");
    }

    #[test]
    fn pods_of_an_unknown_cni_are_held_against_the_route_they_leave_by() {
        let too_large = "NK047 2 veths into pods: they have an MTU of 1500, and their packets leave over the default route's eth0 with 1450: full packets are 50 bytes too large";
        assert_eq!(check(1450, r#"{"link":"eth0"}"#), too_large);
        assert_eq!(check(1500, r#"{"link":"eth0"}"#), "");
        assert_eq!(check(1450, r#"{"link":"eth1"}"#), "");
        // The packets leave nowhere.
        assert_eq!(check(1450, ""), "");
    }

    #[test]
    fn a_pod_of_an_unknown_network_is_not_judged_in_silence() {
        let links = r#","ovs-system":{"index":21,"kind":"openvswitch"},"eth2":{"index":22,"mtu":1500,"master":21,"up":true},
            "ovn0":{"index":23,"kind":"openvswitch","mtu":1400,"up":true},"genev_sys_6081":{"index":24,"kind":"geneve","mtu":65000,"up":true},
            "a_h":{"index":25,"kind":"veth","lower":6,"peer_netns":2,"mtu":1500,"master":21,"up":true},"vxlan.calico":{"index":5,"up":false}"#;
        let judged = |routes: &str| docker(1500, "", &format!("{ROUTES}{routes}"), links);
        let unread =
            "a_h: the routes that tell whether it is a pod of kube-ovn or of another network were not read";
        assert_eq!(judged(""), (String::new(), unread.to_owned()));
        let forwarding = r#","forwarding":{"routes":{"routes":[{"destination":"10.16.0.0/16","to":{"hops":[{"link":"ovn0","via":"100.64.0.1"}]}}]},
            "pods":{"a_h":{"addresses":["10.16.0.7/16"],"routes":{"routes":[]},"neighbours":[]}}}"#;
        let (found, unjudged) = judged(forwarding);
        assert!(
            found.contains("kube-ovn:geneve leaves 1442 of 1500") && unjudged.is_empty(),
            "{found} {unjudged}"
        );
    }

    /// Docker beside a WireGuard device that takes all packets without its mark.
    #[test]
    fn rules_that_choose_another_default_route_leave_the_underlay_unknown() {
        let judged = |container: u32, rules: &str| {
            let next_hops = r#","next_hops":[{"link":"eth0","router":"192.0.2.1","default":true},{"link":"wg0","default":true,"table":51820}]"#;
            let wg0 = r#","wg0":{"index":20,"kind":"wireguard","mtu":1420,"up":true}"#;
            let routes = format!("{ROUTES}{next_hops}{rules}");
            docker(container, "", &routes, wg0)
        };
        let rules = r#","policy_routing":["ipv4"]"#;
        let unknown = "rules of `ip rule` choose among default routes: the default route's eth0 with 1500, the default route's wg0 in table 51820 with 1420";
        assert_eq!(judged(1500, rules), (String::new(), unknown.to_owned()));
        // It fits both.
        assert_eq!(judged(1420, rules), (String::new(), String::new()));
        assert_eq!(judged(1500, ""), (String::new(), String::new()));
    }

    #[test]
    fn a_nic_of_a_container_is_no_pod() {
        let nic = |name: &str, index: u32, mtu: u32, more: &str| {
            format!(
                r#""{name}":{{"index":{index},"kind":"veth","lower":9,"peer_netns":0,"mtu":{mtu},"up":true,"addresses":["10.{index}.0.5/24"]{more}}}"#
            )
        };
        let container = |more: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{{},{}{more}}},
                    "default_routes":[{{"link":"eth0"}}]}}"#,
                nic("eth0", 2, 1500, ""),
                nic("eth1", 3, 9000, "")
            );
            let host = Snapshot::from_json(&text).unwrap();
            let pods: Vec<String> = host
                .links
                .iter()
                .filter(|(_, link)| link.leads_into_a_pod())
                .map(|(name, _)| name.to_string())
                .collect();
            (pods.join(" "), super::pods(&host).len())
        };
        assert_eq!(container(""), (String::new(), 0));
        // Its own pods are some: kind, or LXD with Docker in it.
        let pod = r#","veth7":{"index":7,"kind":"veth","lower":2,"peer_netns":1,"mtu":1500,"pod":{"sandbox":{"path":"/run/netns/a","inode":4},"index":2,"name":"eth0","mtu":1500}}"#;
        assert_eq!(container(pod), ("veth7".to_owned(), 1));
        // On hardware, an address alone makes no NIC of a veth: systemd-nspawn gives one to the host's end.
        let hardware = r#","ens3":{"index":8,"mtu":1500,"up":true}"#;
        assert_eq!(container(hardware), ("eth1".to_owned(), 1));
    }
}
