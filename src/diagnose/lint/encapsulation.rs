//! Compares the MTU of pods with the MTU that the CNI's encapsulation leaves of its underlay.

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Findings;
use netkeel_host::snapshot::Snapshot;
use netkeel_mtu::detect::detect;
use netkeel_mtu::judge::TooLarge;
use netkeel_mtu::pods::{judge_containers, judge_pods, pods};
use netkeel_mtu::underlay::{Underlay, preferred};

/// Checks a host whose underlay is known. Without a known CNI, pods must fit the underlay itself, and containers of
/// other programs than the CNI always.
pub(crate) fn check(host: &Snapshot, over: Option<Underlay>, findings: &mut Findings) -> TooLarge {
    let given = |over: Underlay| over.on(host);
    let Some(detected) = detect(host) else {
        if let Ok((underlay, from)) = over.map_or_else(|| preferred(host, None), given) {
            judge_pods(host, underlay, &from, findings);
        }
        return TooLarge::default();
    };
    if let Ok((underlay, from)) = preferred(host, None) {
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

/// Why it is not known whether pods fit their underlay, on a host that has pods.
pub(crate) fn unjudged(host: &Snapshot, over: Option<Underlay>) -> Option<Error> {
    if over.is_some() || pods(host).is_empty() {
        return None;
    }
    let underlay = match detect(host) {
        Some(detected) => detected.underlay(host),
        None => preferred(host, None),
    };
    // Without a default route, packets leave by no known interface, and that was read.
    underlay.err().filter(|error| error.kind == ErrorKind::Unreadable)
}

#[cfg(test)]
mod tests {
    use netkeel_host::snapshot::Snapshot;

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
        super::check(&host, None, &mut findings);
        let found = findings.into_sorted().into_iter();
        found
            .map(|one| format!("{} {}: {}", one.code, one.subjects.join(","), one.message))
            .collect()
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
