//! WireGuard devices whose packets do not fit any interface below them.

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::{Link, PeerRoute};
use netkeel_host::snapshot::routes::mtu_to_peer;
use netkeel_mtu::underlay::preferred_over;

/// Bytes of a data packet over IPv4: IPv4 20, UDP 8, WireGuard 32 (`struct message_data`,
/// drivers/net/wireguard/messages.h).
const OVER_IPV4: u32 = 60;

/// The same over IPv6.
const OVER_IPV6: u32 = 80;

/// Kinds that lead into a pod, or join the devices of pods: no WireGuard packet leaves the host by them unless a route
/// says so.
const OF_PODS: &[&str] = &["veth", "netkit", "dummy", "ifb", "bridge", "openvswitch"];

/// Whether a device carries other devices' packets inside its own. A default route over one is that of what goes through
/// it: its own packets leave by another route, which a rule or the address of a peer chooses.
fn carries_others(link: &Link) -> bool {
    link.is_tunnel() || link.kind_name() == "tun"
}

/// Compares each WireGuard device with the routes to its peers. Where no such route is known, the default route
/// counts, and without one a device is reported only if its packets fit no interface.
pub(crate) fn check(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    let devices = host
        .links
        .iter()
        .filter(|(_, link)| link.kind_name() == "wireguard" && link.up);
    for (name, link) in devices.filter(|(name, _)| wanted(**name)) {
        let routes = link.peer_routes.iter().flatten();
        let ways: Vec<PeerWay> = routes.filter_map(|route| PeerWay::of(route, host)).collect();
        if let Some(way) = ways.iter().min_by_key(|way| way.fits) {
            way.judge(*name, link, findings);
        } else if let Some((mtu, below)) = underlay(host, *name) {
            over(mtu, &below, *name, link, host.outer_family(*name), findings);
        }
    }
}

/// Compares a device with the interface that its packets leave by, as far as that can be known without its peers.
fn over(mtu: u32, below: &str, name: LinkName, link: &Link, outer: Option<Family>, findings: &mut Findings) {
    let least = match outer {
        Some(Family::Ipv6) => OVER_IPV6,
        Some(Family::Ipv4) | None => OVER_IPV4,
    };
    if link.mtu + least <= mtu {
        return;
    }
    let ipv6 = mtu.saturating_sub(OVER_IPV6);
    let ipv4 = mtu.saturating_sub(OVER_IPV4);
    let (headers, remedy) = match outer {
        Some(Family::Ipv6) => (format!("{OVER_IPV6} bytes over IPv6"), format!("set {ipv6}")),
        Some(Family::Ipv4) => (format!("{OVER_IPV4} bytes over IPv4"), format!("set {ipv4}")),
        None => (
            format!("{OVER_IPV4} bytes over IPv4, {OVER_IPV6} over IPv6"),
            format!("set {ipv6}; {ipv4} is enough if every endpoint is IPv4"),
        ),
    };
    let message = format!(
        "its MTU of {} and the headers of WireGuard ({headers}) do not fit {below}, which has {mtu}: full packets are fragmented or dropped",
        link.mtu
    );
    findings.add(Code::NK047, name, message, remedy);
}

/// The way to a peer, and what it leaves of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerWay {
    pub link: LinkName,
    /// Bytes of the largest packet on the way.
    pub mtu: u32,
    /// The peer has an IPv6 address.
    pub ipv6: bool,
    /// The MTU is that of the route, not of the interface.
    of_route: bool,
    /// Bytes of the headers.
    headers: u32,
    /// Bytes that remain for a packet of the device.
    pub fits: u32,
}

impl PeerWay {
    pub(crate) fn of(route: &PeerRoute, host: &Snapshot) -> Option<PeerWay> {
        let (mtu, of_route) = mtu_to_peer(host, route)?;
        let headers = if route.ipv6 { OVER_IPV6 } else { OVER_IPV4 };
        Some(PeerWay {
            link: route.link,
            mtu,
            ipv6: route.ipv6,
            of_route,
            headers,
            fits: mtu.saturating_sub(headers),
        })
    }

    fn judge(&self, name: LinkName, link: &Link, findings: &mut Findings) {
        if link.mtu <= self.fits {
            return;
        }
        let way = match self.of_route {
            true => format!("the route to a peer over {}", self.link),
            false => format!("{}, over which a peer is reached", self.link),
        };
        let message = format!(
            "its MTU of {} and the headers of WireGuard ({} bytes) do not fit {way}, which has {}: full packets are fragmented or dropped",
            link.mtu, self.headers, self.mtu
        );
        findings.add(Code::NK047, name, message, format!("set {}", self.fits));
    }
}

/// The MTU to peers of which nothing is known, and in a few words where it is from: the default route, and without
/// one the interface with the largest MTU by which packets can leave the host.
fn underlay(host: &Snapshot, of: LinkName) -> Option<(u32, String)> {
    let usable = |name: LinkName| name != of && !host.link(name).is_some_and(carries_others);
    if let Ok((mtu, from)) = preferred_over(host, host.outer_family(of), &usable) {
        return Some((mtu.try_into().ok()?, from));
    }
    // Without addresses in the snapshot, any interface may be the one.
    let known = host.families.ipv4 && host.families.ipv6;
    let leaves = |name: LinkName, link: &Link| {
        let addressed = !known || !link.addresses.is_empty();
        link.up
            && addressed
            && name.as_bytes() != b"lo"
            && usable(name)
            && !OF_PODS.contains(&link.kind_name())
    };
    let links = host.links.iter().filter(|(name, link)| leaves(**name, link));
    let (name, link) = links.max_by_key(|(_, link)| link.mtu)?;
    Some((link.mtu, name.to_string()))
}

#[cfg(test)]
mod tests {
    use netkeel_host::snapshot::Snapshot;

    fn check(eth0: u32, eth1: u32, wireguard: u32) -> String {
        check_with(eth0, eth1, wireguard, "")
    }

    fn check_with(eth0: u32, eth1: u32, wireguard: u32, peers: &str) -> String {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                "eth0":{{"index":2,"mtu":{eth0},"up":true,"addresses":["10.0.0.4/24"]}},
                "eth1":{{"index":3,"mtu":{eth1},"up":true,"addresses":["10.1.0.4/24"]}},
                "flannel-wg":{{"index":4,"kind":"wireguard","mtu":{wireguard},"up":true{peers}}},
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
        // No route to a peer is known: it is not held against a storage network that is larger.
        assert_eq!(
            check(1500, 9000, 8920),
            "NK047 flannel-wg: set 1420; 1440 is enough if every endpoint is IPv4"
        );
    }

    #[test]
    fn a_bridge_of_pods_is_never_the_underlay() {
        let check = |name: &str, wireguard: u32, routes: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                    "eth0":{{"index":2,"mtu":1400,"up":true,"addresses":["10.0.0.4/24"]}},
                    "{name}":{{"index":4,"kind":"wireguard","mtu":{wireguard},"up":true}},
                    "cni0":{{"index":5,"kind":"bridge","mtu":1500,"up":true,"addresses":["10.42.0.1/24"]}}}}
                    {routes}}}"#
            );
            let host = Snapshot::from_json(&text).unwrap();
            let mut findings = netkeel_core::finding::Findings::default();
            super::check(&host, &|_| true, &mut findings);
            let found = findings.into_sorted().into_iter();
            found
                .map(|one| {
                    let (_, below) = one.message.split_once("do not fit ").unwrap();
                    format!("{}; {}", below.split_once(':').unwrap().0, one.remedy)
                })
                .collect::<String>()
        };
        let (default, none) = (
            r#","default_routes":[{"link":"eth0"}]"#,
            r#","default_routes":[]"#,
        );
        let either = "set 1320; 1340 is enough if every endpoint is IPv4";
        assert_eq!(
            check("flannel-wg", 1420, default),
            format!("the default route's eth0, which has 1400; {either}")
        );
        for unknown in [none, ""] {
            assert_eq!(
                check("flannel-wg", 1420, unknown),
                format!("eth0, which has 1400; {either}")
            );
        }
        assert_eq!(check("flannel-wg", 1340, default), "");
        // Calico's device for IPv6.
        let v6 = "the default route's eth0, which has 1400; set 1320";
        assert_eq!(check("wg-v6.cali", 1340, default), v6);
        assert_eq!(check("wg-v6.cali", 1320, default), "");
    }

    #[test]
    fn a_tunnel_is_never_the_underlay_and_the_larger_family_counts() {
        let check = |wg0: u32, routes: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                    "eth0":{{"index":2,"mtu":1500,"up":true,"addresses":["10.0.0.4/24"]}},
                    "he6":{{"index":3,"kind":"sit","mtu":1280,"up":true}},
                    "br0":{{"index":5,"kind":"bridge","mtu":1400,"up":true,"addresses":["10.1.0.4/24"]}},
                    "wg0":{{"index":4,"kind":"wireguard","mtu":{wg0},"up":true}}}},"default_routes":[{routes}]}}"#
            );
            let host = Snapshot::from_json(&text).unwrap();
            let mut findings = netkeel_core::finding::Findings::default();
            super::check(&host, &|_| true, &mut findings);
            findings
                .into_sorted()
                .into_iter()
                .map(|one| one.remedy)
                .collect::<String>()
        };
        let by = |link: &str, family: &str, metric: u32| {
            format!(r#"{{"link":"{link}","family":"{family}","metric":{metric}}}"#)
        };
        let wg0 = by("wg0", "ipv4", 0);
        assert_eq!(check(1420, &wg0), "");
        let both = [wg0, by("eth0", "ipv4", 100)].join(",");
        assert_eq!(check(1420, &both), "");
        assert_eq!(
            check(1460, &both),
            "set 1420; 1440 is enough if every endpoint is IPv4"
        );
        assert_eq!(
            check(1420, &[by("eth0", "ipv4", 0), by("he6", "ipv6", 1024)].join(",")),
            ""
        );
        // The host's own bridge.
        let remedy = "set 1320; 1340 is enough if every endpoint is IPv4";
        assert_eq!(check(1420, &by("br0", "ipv4", 0)), remedy);
    }

    #[test]
    fn a_device_is_held_against_the_routes_to_its_peers() {
        let one = |eth1: u32, wireguard: u32, more: &str| {
            let peers = format!(r#","peer_routes":[{{"link":"eth1"{more}}}]"#);
            check_with(9000, eth1, wireguard, &peers)
        };
        // The default route has more, and carries no packet of the device.
        assert_eq!(one(1450, 1420, ""), "NK047 flannel-wg: set 1390");
        assert_eq!(one(1450, 1390, ""), "");
        assert_eq!(one(1450, 1390, r#","ipv6":true"#), "NK047 flannel-wg: set 1370");
        assert_eq!(one(1500, 1440, r#","mtu":1400"#), "NK047 flannel-wg: set 1340");
        let both = r#","peer_routes":[{"link":"eth0","ipv6":true},{"link":"eth1"}]"#;
        assert_eq!(check_with(1500, 1450, 1420, both), "NK047 flannel-wg: set 1390");
        // Peers that have not called yet.
        let none = r#","peer_routes":[]"#;
        assert_eq!(check_with(1500, 1500, 1420, none), "");
    }
}
