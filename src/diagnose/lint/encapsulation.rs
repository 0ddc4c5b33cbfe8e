//! Compares the MTU of pods with the MTU that the CNI's encapsulation leaves of its underlay.

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Findings;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_mtu::detect::Detected;
use netkeel_mtu::judge::TooLarge;
use netkeel_mtu::pods::{containers, judge_containers, judge_pods, of_cni, pods};
use netkeel_mtu::underlay::{Underlay, preferred};

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
    let Some(detected) = detected else {
        let is_known = over.is_some() || pods(host).is_empty();
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
    let is_known = containers(host, detected.cni).is_empty();
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
}
