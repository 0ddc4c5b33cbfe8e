//! The interfaces by which packets leave: those of the default routes, and the MTU over a route.

use crate::snapshot::Snapshot;
use crate::snapshot::default_route::DefaultRoute;
use crate::snapshot::forwarding::Family;
use crate::snapshot::link::{Link, PeerRoute};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;

/// The interfaces of all default routes that are up, each once with its smallest MTU.
pub fn default_routes(host: &Snapshot) -> Option<Vec<(LinkName, i64, bool)>> {
    Some(ways(host, &up(host)?))
}

/// The same of the default routes by which packets leave: those with the smallest metric of each family, or of one
/// family. Other routes are backups, over which no packet leaves. A route whose family is not known is of any
/// family, and where no metric is known, no route is known to be a backup. Routes over interfaces that are not
/// `usable` do not count.
pub fn preferred_default_routes(
    host: &Snapshot,
    family: Option<Family>,
    usable: &dyn Fn(LinkName) -> bool,
) -> Option<Vec<(LinkName, i64, bool)>> {
    let mut found = up(host)?;
    found.retain(|route| usable(route.link));
    found.retain(|route| family.is_none() || route.family.is_none() || route.family == family);
    let preferred = |route: &&DefaultRoute| {
        let rivals = || found.iter().filter(|other| other.family == route.family);
        let is_known = rivals().any(|other| other.metric.is_some());
        let least = rivals().map(|other| other.metric.unwrap_or(0)).min();
        !is_known || Some(route.metric.unwrap_or(0)) == least
    };
    let preferred: Vec<&DefaultRoute> = found.iter().copied().filter(preferred).collect();
    Some(ways(host, &preferred))
}

/// The default routes over interfaces that are up: the kernel drops those of others.
fn up(host: &Snapshot) -> Option<Vec<&DefaultRoute>> {
    let routes = host.default_routes.as_ref()?.iter();
    let is_up = |route: &&DefaultRoute| host.link(route.link).is_some_and(|link| link.up);
    Some(routes.filter(is_up).collect())
}

/// The interfaces of routes, each once with its smallest MTU.
fn ways(host: &Snapshot, routes: &[&DefaultRoute]) -> Vec<(LinkName, i64, bool)> {
    let mut found: Vec<(LinkName, i64, bool)> = Vec::new();
    for route in routes {
        let Some(link) = host.link(route.link) else {
            continue;
        };
        let of_ipv6 = limit_of_ipv6(host, route.link).filter(|_| route.family == Some(Family::Ipv6));
        let (mtu, own) = mtu_over(link, [route.mtu, of_ipv6]);
        let mtu = mtu.into();
        match found.iter_mut().find(|(name, ..)| *name == route.link) {
            Some(known) if known.1 <= mtu => {}
            Some(known) => *known = (route.link, mtu, own),
            None => found.push((route.link, mtu, own)),
        }
    }
    found
}

/// The largest packet to a peer, in bytes, and whether another limit than the MTU of the interface decides.
pub fn mtu_to_peer(host: &Snapshot, route: &PeerRoute) -> Option<(u32, bool)> {
    let of_ipv6 = limit_of_ipv6(host, route.link).filter(|_| route.ipv6);
    Some(mtu_over(host.link(route.link)?, [route.mtu, of_ipv6]))
}

/// The MTU of an interface for packets of a family, bytes.
pub fn mtu_for(host: &Snapshot, name: LinkName, link: &Link, family: Option<Family>) -> u32 {
    let of_ipv6 = limit_of_ipv6(host, name).filter(|_| family == Some(Family::Ipv6));
    mtu_over(link, [of_ipv6]).0
}

/// The interface's own MTU for packets of IPv6, where it was read.
fn limit_of_ipv6(host: &Snapshot, link: LinkName) -> Option<u32> {
    let own = host.sysctl_number(SysctlKey::conf("ipv6", link, "mtu").path())?;
    own.try_into().ok()
}

/// The largest packet over an interface, in bytes, and whether another limit than its MTU decides: that of a
/// route, or of IPv6. A limit of 0 is ignored.
pub fn mtu_over(link: &Link, limits: impl IntoIterator<Item = Option<u32>>) -> (u32, bool) {
    let limits = limits.into_iter().flatten().filter(|limit| *limit > 0);
    match limits.min().filter(|limit| *limit < link.mtu) {
        Some(limit) => (limit, true),
        None => (link.mtu, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_decides() {
        let link = Link {
            mtu: 1500,
            ..Link::default()
        };
        assert_eq!(mtu_over(&link, [None, Some(0)]), (1500, false));
        assert_eq!(mtu_over(&link, [Some(9000), None]), (1500, false));
        assert_eq!(mtu_over(&link, [Some(1500)]), (1500, false));
        assert_eq!(mtu_over(&link, [Some(1450), Some(1400)]), (1400, true));
    }

    #[test]
    fn no_packet_leaves_by_a_default_route_with_a_larger_metric() {
        let preferred = |routes: &str, family: Option<Family>| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                    "eno1":{{"index":2,"mtu":1500,"up":true}},"eno2":{{"index":3,"mtu":9000,"up":true}},
                    "usb0":{{"index":4,"mtu":1400,"up":true}},"down0":{{"index":5,"mtu":1300}}}},
                    "default_routes":[{routes}]}}"#
            );
            let host = Snapshot::from_json(&text).unwrap();
            let found = preferred_default_routes(&host, family, &|_| true).unwrap();
            let names: Vec<String> = found.iter().map(|(name, ..)| name.to_string()).collect();
            names.join(" ")
        };
        let eno1 = r#"{"link":"eno1","metric":100,"family":"ipv4"}"#;
        let usb0 = r#"{"link":"usb0","metric":500,"family":"ipv4"}"#;
        let usb0_v6 = r#"{"link":"usb0","metric":1024,"family":"ipv6"}"#;
        assert_eq!(preferred(&format!("{eno1},{usb0}"), None), "eno1");
        // The next hops of one route.
        let eno2 = r#"{"link":"eno2","metric":100,"family":"ipv4"}"#;
        assert_eq!(preferred(&format!("{eno1},{eno2},{usb0}"), None), "eno1 eno2");
        // Each family has its own.
        assert_eq!(preferred(&format!("{eno1},{usb0_v6}"), None), "eno1 usb0");
        let (ipv4, ipv6) = (Some(Family::Ipv4), Some(Family::Ipv6));
        assert_eq!(preferred(&format!("{eno1},{usb0_v6}"), ipv4), "eno1");
        assert_eq!(preferred(&format!("{eno1},{usb0_v6}"), ipv6), "usb0");
        // The kernel drops the routes of an interface that is down.
        let down0 = r#"{"link":"down0","metric":1,"family":"ipv4"}"#;
        assert_eq!(preferred(&format!("{down0},{usb0}"), None), "usb0");
        // An old snapshot has no metrics, so that each may be the one.
        assert_eq!(preferred(r#"{"link":"eno1"},{"link":"usb0"}"#, ipv4), "eno1 usb0");
    }

    #[test]
    fn the_mtu_of_ipv6_limits_packets_of_ipv6_only() {
        let text = r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},
            "sysctls":{"net/ipv6/conf/eth0/mtu":{"value":"1300","writable":true}},"links":{"eth0":{"index":2,"mtu":1500,"up":true}},
            "default_routes":[{"link":"eth0","family":"ipv4"},{"link":"eth0","family":"ipv6"}]}"#;
        let host = Snapshot::from_json(text).unwrap();
        let eth0: LinkName = "eth0".parse().unwrap();
        for (family, expected) in [(Family::Ipv4, (1500, false)), (Family::Ipv6, (1300, true))] {
            let found = preferred_default_routes(&host, Some(family), &|_| true);
            assert_eq!(found, Some(vec![(eth0, i64::from(expected.0), expected.1)]));
            let route = PeerRoute {
                link: eth0,
                mtu: None,
                ipv6: family == Family::Ipv6,
            };
            assert_eq!(mtu_to_peer(&host, &route), Some(expected));
            let link = host.link(eth0).unwrap();
            assert_eq!(mtu_for(&host, eth0, link, Some(family)), expected.0);
        }
    }
}
