//! WireGuard devices whose packets do not fit any interface below them.

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// Bytes of a data packet over IPv4: IPv4 20, UDP 8, WireGuard 32 (`struct message_data`,
/// drivers/net/wireguard/messages.h).
const OVER_IPV4: u32 = 60;

/// The same over IPv6.
const OVER_IPV6: u32 = 80;

/// Kinds that carry other devices' packets inside their own, or lead into a pod: no WireGuard packet
/// leaves the host by them, or their own lower device limits it.
const NOT_BELOW: &[&str] = &[
    "wireguard",
    "veth",
    "netkit",
    "dummy",
    "ifb",
    "vxlan",
    "geneve",
    "ipip",
    "sit",
    "ip6tnl",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "tun",
];

/// Compares each WireGuard device with the interface that leaves it the most room. A snapshot does not hold
/// the routes to the peers, so a device is reported only if its packets fit no interface.
pub(crate) fn check(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    let devices = host
        .links
        .iter()
        .filter(|(_, link)| link.kind_name() == "wireguard" && link.up);
    let devices: Vec<_> = devices.filter(|(name, _)| wanted(**name)).collect();
    if devices.is_empty() {
        return;
    }
    let Some((below, largest)) = underlay(host) else {
        return;
    };
    for (name, link) in devices {
        if link.mtu + OVER_IPV4 <= largest.mtu {
            continue;
        }
        let message = format!(
            "its MTU of {} and the headers of WireGuard ({OVER_IPV4} bytes over IPv4, {OVER_IPV6} over IPv6) do not fit {below}, which has {}: full packets are fragmented or dropped",
            link.mtu, largest.mtu
        );
        let ipv6 = largest.mtu.saturating_sub(OVER_IPV6);
        let ipv4 = largest.mtu.saturating_sub(OVER_IPV4);
        let remedy = format!("set {ipv6}; {ipv4} is enough if every endpoint is IPv4");
        findings.add(Code::NK047, name, message, remedy);
    }
}

/// The interface with the largest MTU by which packets can leave the host.
fn underlay(host: &Snapshot) -> Option<(LinkName, &Link)> {
    let leaves = |name: LinkName, link: &Link| {
        let default = host
            .default_routes
            .iter()
            .flatten()
            .any(|route| route.link == name);
        // Without addresses in the snapshot, any interface may be the one.
        let known = host.families.ipv4 && host.families.ipv6;
        let addressed = !known || default || !link.addresses.is_empty();
        link.up && addressed && name.as_bytes() != b"lo" && !NOT_BELOW.contains(&link.kind_name())
    };
    let links = host.links.iter().map(|(name, link)| (*name, link.as_ref()));
    links
        .filter(|(name, link)| leaves(*name, link))
        .max_by_key(|(_, link)| link.mtu)
}

#[cfg(test)]
mod tests {
    use netkeel_host::snapshot::Snapshot;

    fn check(eth0: u32, eth1: u32, wireguard: u32) -> String {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                "eth0":{{"index":2,"mtu":{eth0},"up":true,"addresses":["10.0.0.4/24"]}},
                "eth1":{{"index":3,"mtu":{eth1},"up":true,"addresses":["10.1.0.4/24"]}},
                "flannel-wg":{{"index":4,"kind":"wireguard","mtu":{wireguard},"up":true}},
                "veth0":{{"index":5,"kind":"veth","lower":6,"peer_netns":0,"mtu":9000,"up":true}}}},
                "default_routes":[{{"link":"eth0"}}]}}"#
        );
        let host = Snapshot::from_json(&text).unwrap();
        let mut findings = netkeel_core::finding::Findings::default();
        super::check(&host, &|_| true, &mut findings);
        let found = findings.into_sorted().into_iter();
        found
            .map(|one| format!("{} {}: {}", one.code, one.subjects.join(","), one.remedy))
            .collect()
    }

    #[test]
    fn a_device_that_fits_nothing_below_is_reported() {
        assert_eq!(
            check(1400, 1400, 1400),
            "NK047 flannel-wg: set 1320; 1340 is enough if every endpoint is IPv4"
        );
        assert_eq!(check(1500, 1500, 1420), "");
        // Over IPv4 alone.
        assert_eq!(check(1500, 1500, 1440), "");
        // Its peers may be behind the larger interface.
        assert_eq!(check(1500, 9000, 8920), "");
    }
}
