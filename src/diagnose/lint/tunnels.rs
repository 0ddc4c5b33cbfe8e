//! Tunnels whose packets do not fit the device that carries them.

use std::collections::BTreeSet;

use crate::path::tunnel::{ENCAPSULATION_LIMIT, carries_nothing, may_limit, own_headers, stands_for_routes};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::{Family, NextHop};
use netkeel_host::snapshot::link::{Link, PeerRoute};
use netkeel_host::snapshot::routes::{mtu_for, mtu_to_peer};

/// The tunnels whose MTU the kernel takes from the device that carries them (`vxlan_headroom`, drivers/net/vxlan/vxlan_core.c; `ip_tunnel_bind_dev`,
/// net/ipv4/ip_tunnel.c; `vti6_link_config`, net/ipv6/ip6_vti.c). For those of IPsec the kernel takes off the header of IP
/// alone: what the cipher adds it tells each sender (`vti_xmit`, net/ipv4/ip_vti.c).
const KINDS: &[&str] = &[
    "vxlan",
    "geneve",
    "ipip",
    "sit",
    "gre",
    "gretap",
    "ip6tnl",
    "ip6gre",
    "ip6gretap",
    "erspan",
    "ip6erspan",
    "vti",
    "vti6",
];

/// The header of IPv4, bytes.
const IPV4: u32 = 20;

/// The header of IPv6 has 20 bytes more.
const IPV6_MORE: u32 = 20;

/// The devices that the modules of tunnels make in each namespace. They have no other end, and decapsulate.
const FALLBACK: &[&str] = &[
    "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0",
];

/// Kinds of devices by which no outer packet leaves the host unless a route says so.
const OF_THE_HOST: &[&str] = &["veth", "netkit", "bridge", "openvswitch", "ifb", "tun"];

/// Checks tunnels over the device that carries them.
pub(crate) fn check(host: &Snapshot, wanted: &dyn Fn(LinkName) -> bool, findings: &mut Findings) {
    for (name, link) in host.links.iter().filter(|(name, _)| wanted(**name)) {
        if let Some(headers) = headers(host, *name, link)
            && let Some(under) = under(host, *name, link)
        {
            too_large(host, *name, link, headers, under, findings);
        }
    }
}

/// What carries a tunnel.
struct Under {
    link: LinkName,
    /// Bytes of the largest outer packet.
    mtu: u32,
    how: How,
}

/// How it is known.
enum How {
    /// The tunnel is bound to it.
    Bound,
    /// A route to the other end leaves by it.
    Route,
    /// The same, and the route has the MTU.
    RouteWithMtu,
    /// The routes to the other ends are not known, and no interface has a larger MTU.
    Largest,
}

/// What carries a tunnel, as far as it is known.
fn under(host: &Snapshot, name: LinkName, link: &Link) -> Option<Under> {
    if let Some((below, lower)) = below_tunnel(host, link) {
        return Some(Under {
            link: below,
            mtu: mtu_for(host, below, lower, host.outer_family(name)),
            how: How::Bound,
        });
    }
    if link.lower.is_some() || !link.up || link.external || device_owner::is_ovs_tunnel(name.as_bytes()) {
        return None;
    }
    let routes = link
        .peer_routes
        .clone()
        .or_else(|| to_the_other_end(host, name))?;
    let ways = routes.iter().filter_map(|route| {
        let (mtu, of_route) = mtu_to_peer(host, route)?;
        let how = if of_route { How::RouteWithMtu } else { How::Route };
        let link = route.link;
        Some(Under { link, mtu, how })
    });
    let least = ways.min_by_key(|way| way.mtu);
    let is_fallback = FALLBACK.iter().any(|own| own.as_bytes() == name.as_bytes());
    least.or_else(|| largest(host).filter(|_| !is_fallback))
}

/// The routes to the other end of a tunnel, by the routes of the main table; none where those or the end were not read.
fn to_the_other_end(host: &Snapshot, name: LinkName) -> Option<BTreeSet<PeerRoute>> {
    let ways = host.forwarding.as_ref()?;
    let ends = ways.tunnels.get(&name).filter(|ends| !ends.external)?;
    let Some(remote) = ends.remote.filter(|remote| !remote.is_multicast()) else {
        return Some(BTreeSet::new());
    };
    let has_other_rules = |family| {
        ways.other_rules
            .as_ref()
            .is_none_or(|rules| rules.contains(&family))
    };
    let family = Family::of(remote);
    let route = ways.routes.as_ref()?.to(remote).ok()??;
    let by = |hop: &NextHop| PeerRoute {
        link: hop.link,
        mtu: route.mtu,
        ipv6: family == Family::Ipv6,
    };
    Some(route.hops().iter().map(by).collect()).filter(|_| !has_other_rules(family))
}

/// The interface with the largest MTU by which packets can leave the host.
fn largest(host: &Snapshot) -> Option<Under> {
    let leaves = |name: LinkName, link: &Link| {
        let is_of_host = OF_THE_HOST.contains(&link.kind_name()) || carries_nothing(name, link);
        link.up && !link.is_tunnel() && !is_of_host
    };
    let links = host.links.iter().filter(|(name, link)| leaves(**name, link));
    let (name, link) = links.max_by_key(|(_, link)| link.mtu)?;
    Some(Under {
        link: *name,
        mtu: link.mtu,
        how: How::Largest,
    })
}

/// The device that a tunnel is bound to. One in a VRF goes by the routes of its table, which are not read.
fn below_tunnel<'a>(host: &'a Snapshot, link: &Link) -> Option<(LinkName, &'a Link)> {
    let found = host.by_index(link.lower.filter(|_| link.peer_netns.is_none())?);
    found.filter(|(name, below)| !stands_for_routes(*name, below))
}

/// The bytes of a tunnel's outer headers, at least: a vxlan of unknown ends may be of IPv4, and what was not read of
/// options is left out.
fn headers(host: &Snapshot, name: LinkName, link: &Link) -> Option<u32> {
    let kind = KINDS.iter().find(|kind| **kind == link.kind_name())?;
    let own: u32 = own_headers(kind).iter().map(|header| header.bytes).sum();
    let ends = host.forwarding.as_ref().and_then(|ways| ways.tunnels.get(&name));
    let options = link
        .gre_options
        .or(ends.map(|ends| ends.gre_options))
        .unwrap_or(0);
    let limited = may_limit(kind) && ends.is_some_and(|ends| ends.encapsulation_limit == Some(true));
    let headers = IPV4 + own + if limited { ENCAPSULATION_LIMIT } else { 0 };
    Some(match host.outer_family(name) {
        Some(Family::Ipv6) => headers + options + IPV6_MORE,
        Some(Family::Ipv4) | None => headers + options,
    })
}

/// What may make the headers of a tunnel larger, as far as that was not read.
fn or_less(host: &Snapshot, name: LinkName, link: &Link) -> String {
    let ends = host.forwarding.as_ref().and_then(|ways| ways.tunnels.get(&name));
    let kind = link.kind_name();
    let is_read = link.gre_options.is_some() || ends.is_some();
    let mut less = Vec::new();
    if host.outer_family(name).is_none() {
        less.push(format!("{IPV6_MORE} less over IPv6"));
    }
    if kind.contains("gre") && !is_read {
        less.push("4 less for each of key, sequence number and checksum".to_owned());
    }
    if kind.ends_with("erspan") && !is_read {
        less.push("12 or 16 less with the header of ERSPAN".to_owned());
    }
    if kind.starts_with("vti") {
        less.push("less by what ESP adds".to_owned());
    }
    if may_limit(kind) && ends.is_none_or(|ends| ends.encapsulation_limit.is_none()) {
        less.push(format!(
            "{ENCAPSULATION_LIMIT} less unless it has `encaplimit none`"
        ));
    }
    match less.is_empty() {
        true => String::new(),
        false => format!(" ({})", less.join(", ")),
    }
}

/// The kernel sets the MTU of a tunnel when it is created, and does not lower it with its lower device.
fn too_large(
    host: &Snapshot,
    name: LinkName,
    link: &Link,
    headers: u32,
    under: Under,
    findings: &mut Findings,
) {
    let Under {
        link: below,
        mtu,
        how,
    } = under;
    if link.mtu + headers <= mtu {
        return;
    }
    let fate = match link.kind_name() {
        "vxlan" | "geneve" => "fragmented or dropped",
        // Where the tunnel discovers path MTUs, it answers the sender.
        _ => "fragmented or refused",
    };
    let below_it = match how {
        How::Bound => format!("do not fit {below}, which has {mtu}"),
        How::Route => format!("do not fit {below}, by which its other end is reached and which has {mtu}"),
        How::RouteWithMtu => format!("do not fit the route to its other end by {below}, which has {mtu}"),
        How::Largest => format!("fit no interface: {below} has the most, {mtu}"),
    };
    let message = format!(
        "its MTU of {} and its {headers} bytes of headers {below_it}: full packets are {fate}",
        link.mtu
    );
    let fits = mtu.saturating_sub(headers);
    let or_less = or_less(host, name, link);
    let raised = match how {
        How::Bound | How::Route => below.to_string(),
        How::RouteWithMtu => "the MTU of that route".to_owned(),
        How::Largest => "the interface that carries it".to_owned(),
    };
    let remedy = format!("set {fits}{or_less}, or raise {raised}");
    findings.add(Code::NK016, name, message, remedy);
}

/// The largest MTU of a vxlan device whose full packets fit its lower device, where that and the IP version of its
/// ends are known.
pub(crate) fn fits_vxlan(host: &Snapshot, name: LinkName) -> Option<u32> {
    let link = host.link(name).filter(|link| link.kind_name() == "vxlan")?;
    let (below, lower) = below_tunnel(host, link)?;
    let family = host.outer_family(name)?;
    mtu_for(host, below, lower, Some(family)).checked_sub(headers(host, name, link)?)
}

#[cfg(test)]
mod tests {
    use crate::lint::mtu::tests::check;
    use netkeel_host::snapshot::Snapshot;

    #[test]
    fn a_tunnel_has_the_headers_of_its_kind_and_family() {
        insta::assert_snapshot!(check(
            r#"{"eth0":{"index":2,"mtu":1500},"vx4":{"index":3,"kind":"vxlan","mtu":1450,"lower":2,"outer":"ipv4"},
                "vx6":{"index":4,"kind":"vxlan","mtu":1450,"lower":2,"outer":"ipv6"},
                "vxlan-v6.calico":{"index":5,"kind":"vxlan","mtu":1430,"lower":2},
                "flannel-v6.1":{"index":6,"kind":"vxlan","mtu":1450,"lower":2,"up":true},
                "ipip1":{"index":7,"kind":"ipip","mtu":1480,"lower":2},"ipip2":{"index":8,"kind":"ipip","mtu":1500,"lower":2},
                "gre1":{"index":9,"kind":"gre","mtu":1476,"lower":2},"gretap1":{"index":10,"kind":"gretap","mtu":1476,"lower":2},
                "gre2":{"index":11,"kind":"gre","mtu":1500}}"#
        ), @r"
        NK016 flannel-v6.1,vx6: its MTU of 1450 and its 70 bytes of headers do not fit eth0, which has 1500: full packets are fragmented or dropped
        NK016 gretap1: its MTU of 1476 and its 38 bytes of headers do not fit eth0, which has 1500: full packets are fragmented or refused
        NK016 ipip2: its MTU of 1500 and its 20 bytes of headers do not fit eth0, which has 1500: full packets are fragmented or refused
        ");
    }

    #[test]
    fn a_tunnel_without_a_device_goes_by_a_route() {
        let judged = |tunnel: &str, more: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},
                "links":{{"lo":{{"index":1,"mtu":65536,"up":true}},"eth0":{{"index":2,"mtu":1400,"up":true}},"eth1":{{"index":3,"mtu":9000,"up":true}},
                "veth1":{{"index":4,"kind":"veth","mtu":65000,"lower":7,"peer_netns":0,"up":true}},
                "vrf1":{{"index":5,"kind":"vrf","mtu":65575,"up":true}},
                "t0":{{"index":6,"kind":"vxlan","outer":"ipv4","up":true,{tunnel}}}}}{more}}}"#
            );
            let host = Snapshot::from_json(&text).unwrap();
            let mut findings = netkeel_core::finding::Findings::default();
            super::check(&host, &|_| true, &mut findings);
            let found = findings.into_sorted().into_iter();
            found
                .map(|one| {
                    let (_, below) = one.message.split_once("headers ").unwrap();
                    below.split_once(':').unwrap().0.to_owned()
                })
                .collect::<String>()
        };
        let ends = |remote: &str| {
            format!(
                r#","forwarding":{{"routes":{{"routes":[{{"destination":"0.0.0.0/0","to":{{"hops":[{{"link":"eth0"}}]}}}}]}},
                "other_rules":[],"tunnels":{{"t0":{{"local":"10.0.0.1"{remote}}}}}}}"#
            )
        };
        let by_eth0 = "do not fit eth0, by which its other end is reached and which has 1400";
        let mtu = r#""mtu":1450"#;
        assert_eq!(
            judged(&format!(r#"{mtu},"peer_routes":[{{"link":"eth0"}}]"#), ""),
            by_eth0
        );
        assert_eq!(judged(mtu, &ends(r#","remote":"10.0.0.2""#)), by_eth0);
        // No other end is known, and a larger interface may lead there.
        assert_eq!(judged(mtu, &ends("")), "");
        assert_eq!(judged(r#""mtu":9000"#, &ends("")), "fit no interface");
        // Nothing is known, and in a VRF other routes decide.
        assert_eq!(judged(r#""mtu":9000"#, ""), "");
        assert_eq!(
            judged(r#""mtu":9000,"lower":5"#, &ends(r#","remote":"10.0.0.2""#)),
            ""
        );
        let external = r#""mtu":9000,"external":true,"peer_routes":[]"#;
        assert_eq!(judged(external, ""), "");
    }

    #[test]
    fn the_options_of_gre_are_headers_too() {
        let remedy = |link: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},
                "links":{{"eth0":{{"index":2,"mtu":1500}},"t0":{{"index":3,"lower":2,{link}}}}}}}"#
            );
            let findings = crate::lint::host::host(&Snapshot::from_json(&text).unwrap());
            findings
                .iter()
                .map(|found| found.remedy.clone())
                .collect::<String>()
        };
        let keyed = r#""kind":"gretap","gre_options":4"#;
        assert_eq!(
            remedy(&format!(r#"{keyed},"mtu":1500"#)),
            "set 1458, or raise eth0"
        );
        assert_eq!(
            remedy(&format!(r#"{keyed},"mtu":1462"#)),
            "set 1458, or raise eth0"
        );
        assert_eq!(remedy(&format!(r#"{keyed},"mtu":1458"#)), "");
        assert_eq!(
            remedy(r#""kind":"gretap","mtu":1500"#),
            "set 1462 (4 less for each of key, sequence number and checksum), or raise eth0"
        );
        assert_eq!(
            remedy(r#""kind":"ip6tnl","mtu":1500"#),
            "set 1460 (8 less unless it has `encaplimit none`), or raise eth0"
        );
        assert_eq!(remedy(r#""kind":"ip6gre","gre_options":0,"mtu":1448"#), "");
        // Those that the kernel gives: without a version, of the first and of the second.
        for (options, mtu) in [
            ("", 1462),
            (r#","gre_options":12"#, 1450),
            (r#","gre_options":16"#, 1446),
        ] {
            let erspan = |mtu: u32| remedy(&format!(r#""kind":"erspan"{options},"mtu":{mtu}"#));
            assert_eq!(erspan(mtu), "");
            let less = if options.is_empty() {
                " (12 or 16 less with the header of ERSPAN)"
            } else {
                ""
            };
            assert_eq!(erspan(1500), format!("set {mtu}{less}, or raise eth0"));
        }
        // The kernel gives a device of IPsec the room for the outer header, and tells senders what the cipher leaves.
        assert_eq!(remedy(r#""kind":"vti","mtu":1480"#), "");
        assert_eq!(remedy(r#""kind":"vti6","mtu":1460"#), "");
        assert_eq!(
            remedy(r#""kind":"vti","mtu":1500"#),
            "set 1480 (less by what ESP adds), or raise eth0"
        );
        assert_eq!(
            remedy(r#""kind":"vti6","mtu":1480"#),
            "set 1460 (less by what ESP adds), or raise eth0"
        );
    }
}
