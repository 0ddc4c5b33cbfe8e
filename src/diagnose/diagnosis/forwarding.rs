//! The settings that switch forwarding on where it is off.

use std::collections::BTreeSet;

use crate::diagnosis::cause::Subject;
use crate::diagnosis::configured::Fault;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;

/// The sysctls that are to be 1. `net.ipv4.ip_forward` is copied to every interface when it changes; where it is 1
/// already, an interface has a value of its own. IPv6 asks `all`.
pub(crate) fn keys(fault: &Fault, host: &Snapshot) -> Vec<SysctlKey> {
    let of = |wanted: Family| {
        let found = fault
            .not_forwarding
            .iter()
            .filter(move |(family, _)| *family == wanted);
        found.map(|(_, link)| *link)
    };
    let mut keys = BTreeSet::new();
    if of(Family::Ipv6).next().is_some() {
        keys.insert(SysctlKey::known("net/ipv6/conf/all/forwarding"));
    }
    let is_only_ipv6 = !keys.is_empty() && of(Family::Ipv4).next().is_none();
    if !is_only_ipv6 {
        // A gateway that is silent has its interface among the places.
        let places = of(Family::Ipv4).chain(fault.subjects.iter().filter_map(Subject::link));
        keys.extend(of_ipv4(places, host));
    }
    keys.into_iter().collect()
}

fn of_ipv4(places: impl Iterator<Item = LinkName>, host: &Snapshot) -> Vec<SysctlKey> {
    if host.sysctl_number("net/ipv4/ip_forward") != Some(1) {
        return vec![SysctlKey::known("net/ipv4/ip_forward")];
    }
    let is_off = |name: &LinkName| host.link(*name).is_some_and(|link| link.forwarding == Some(0));
    let places: BTreeSet<LinkName> = places.filter(is_off).collect();
    let key = |name: LinkName| SysctlKey::conf("ipv4", name, "forwarding");
    places.into_iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(ip_forward: u8) -> Snapshot {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},
                "sysctls":{{"net/ipv4/ip_forward":{{"value":"{ip_forward}","writable":true}}}},
                "links":{{"vp":{{"index":2,"mtu":1500,"up":true,"forwarding":0}},
                    "eth0.7":{{"index":3,"mtu":1500,"up":true,"forwarding":0}},
                    "eth1":{{"index":4,"mtu":1500,"up":true,"forwarding":1}}}}}}"#
        );
        Snapshot::from_json(&text).unwrap()
    }

    fn told(ip_forward: u8, places: &[(Family, &str)]) -> Vec<String> {
        let places = places
            .iter()
            .map(|(family, link)| (*family, link.parse().unwrap()));
        let fault = Fault {
            not_forwarding: places.collect(),
            ..Fault::default()
        };
        let keys = keys(&fault, &host(ip_forward));
        keys.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_setting_is_of_the_family_and_of_the_interface_that_has_its_own() {
        use Family::{Ipv4, Ipv6};
        assert_eq!(told(0, &[(Ipv4, "vp")]), ["net.ipv4.ip_forward"]);
        assert_eq!(told(0, &[]), ["net.ipv4.ip_forward"]);
        assert_eq!(told(1, &[(Ipv6, "vp")]), ["net.ipv6.conf.all.forwarding"]);
        assert_eq!(
            told(1, &[(Ipv4, "vp"), (Ipv4, "eth0.7"), (Ipv4, "eth1")]),
            ["net/ipv4/conf/eth0.7/forwarding", "net.ipv4.conf.vp.forwarding"]
        );
        assert_eq!(
            told(0, &[(Ipv4, "vp"), (Ipv6, "vp")]),
            ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]
        );
        // Nothing is off that is known.
        assert_eq!(told(1, &[(Ipv4, "eth1")]), [] as [String; 0]);
    }
}
