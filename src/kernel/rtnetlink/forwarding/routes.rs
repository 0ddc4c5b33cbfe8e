//! The routes of the main table, and the local routes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteType,
};

use crate::netlink::message::{Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::named::Named;
use crate::rtnetlink::route::{dump, ip, mtu_of, router_of};
use netkeel_host::snapshot::forwarding::{
    Family, MOST_DEFAULT_ROUTES, MOST_NEXT_HOPS, NextHop, PathRoute, RouteTarget, Routes,
};

/// The routes that decide without rules of `ip rule`.
pub(super) struct Tables {
    pub(super) main: Routes,
    /// The destinations of the local routes; none if they are too many.
    pub(super) local: Option<BTreeSet<IpNet>>,
    /// The families with a route that is not kept and that may decide before `main`, or beside it.
    pub(super) beside: BTreeSet<Family>,
    /// Bytes of the kernel's messages about the routes of `main`.
    pub(super) bytes: usize,
}

/// How much is kept of a table. A route may have thousands of next hops, so that bytes are counted too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// Routes beside the default routes; and local routes.
    pub routes: usize,
    /// Bytes of the kernel's messages about routes.
    pub bytes: usize,
}

/// Reads the main table of both families and the local routes, up to a limit.
pub(super) fn read(socket: &mut Socket, named: Named<'_>, most: Most) -> Result<Tables, Refusal> {
    let mut found = Routes::default();
    let mut local = BTreeSet::new();
    let mut beside = BTreeSet::new();
    let (mut others, mut defaults, mut bytes) = (0, [0; 2], 0);
    dump(socket, |message| {
        let header = match header(message)? {
            Counts::Yes(header) => header,
            Counts::No => return Ok(()),
            Counts::Beside(family) => {
                beside.insert(family);
                return Ok(());
            }
        };
        if header.kind == RouteType::Local && local.len() <= most.routes {
            local.extend(route(message, &header, named)?.map(|route| route.destination));
        }
        if header.table != RouteHeader::RT_TABLE_MAIN {
            return Ok(());
        }
        let length = message.payload.len();
        let (kept, limit) = match header.destination_prefix_length {
            0 => {
                let [ipv4, ipv6] = &mut defaults;
                let family = match header.address_family {
                    AddressFamily::Inet6 => ipv6,
                    _ => ipv4,
                };
                (family, MOST_DEFAULT_ROUTES)
            }
            _ => (&mut others, most.routes),
        };
        // The kernel gives the routes to one prefix in the order of their metric (`fib_table_insert`, `fib6_add_rt2node`).
        let preferred = header.destination_prefix_length == 0 && *kept == 0;
        // There may be a million: those beyond the limit are not parsed.
        if !preferred && (*kept >= limit || bytes + length > most.bytes) {
            found.more = true;
            return Ok(());
        }
        let route = route(message, &header, named)?;
        *kept += 1;
        bytes += length;
        found.routes.extend(route);
        Ok(())
    })?;
    // A torn dump is taken again, so that a route may be there several times.
    found.routes.sort();
    found.routes.dedup();
    found.routes.shrink_to_fit();
    Ok(Tables {
        main: found,
        local: (local.len() <= most.routes).then_some(local),
        beside,
        bytes,
    })
}

/// Whether a route decides about packets.
enum Counts {
    /// It is one of the main table, or a local one of the table for these.
    Yes(RouteHeader),
    No,
    /// It may, for some packets or where `main` has none: one for a range of sources (IPv6), one of the table default, or
    /// one of the table local that is not local.
    Beside(Family),
}

fn header(message: &Message<'_>) -> Result<Counts, Malformed> {
    if message.kind != libc::RTM_NEWROUTE {
        return Ok(Counts::No);
    }
    let header = RouteHeader::parse(message.payload).map_err(|_| Malformed("route"))?;
    let family = match header.address_family {
        AddressFamily::Inet => Family::Ipv4,
        AddressFamily::Inet6 => Family::Ipv6,
        _ => return Ok(Counts::No),
    };
    let is_for_groups = matches!(
        header.kind,
        RouteType::Multicast | RouteType::Broadcast | RouteType::Anycast
    );
    // IPv4 packets without a type of service do not take a route that is for one (`fib_table_lookup`, net/ipv4/fib_trie.c);
    // IPv6 ignores it. No packet takes a route whose only next hop is dead.
    let for_a_service = family == Family::Ipv4 && header.tos != 0;
    if is_for_groups
        || for_a_service
        || header.flags.contains(RouteFlags::Cloned)
        || header.flags.contains(RouteFlags::Dead)
    {
        return Ok(Counts::No);
    }
    match header.table {
        RouteHeader::RT_TABLE_MAIN | libc::RT_TABLE_LOCAL if header.source_prefix_length != 0 => {
            Ok(Counts::Beside(family))
        }
        RouteHeader::RT_TABLE_MAIN => Ok(Counts::Yes(header)),
        libc::RT_TABLE_LOCAL if header.kind == RouteType::Local => Ok(Counts::Yes(header)),
        // Kernels before 5.6 give the routes for multicast of IPv6 as others.
        libc::RT_TABLE_LOCAL if is_of_multicast(message)? => Ok(Counts::No),
        libc::RT_TABLE_LOCAL | libc::RT_TABLE_DEFAULT => Ok(Counts::Beside(family)),
        _ => Ok(Counts::No),
    }
}

fn is_of_multicast(message: &Message<'_>) -> Result<bool, Malformed> {
    let message: RouteMessage = message.parse()?;
    let mut destinations = message.attributes.iter().filter_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    Ok(destinations.any(|address| address.is_multicast()))
}

/// A route; none if all its next hops are dead: the kernel skips these (`fib_select_multipath`, net/ipv4/fib_semantics.c;
/// `find_match`, net/ipv6/route.c). It counts a hop without a carrier among them where `ignore_routes_with_linkdown` says so
/// (`fib_nexthop_info`).
fn route(
    message: &Message<'_>,
    header: &RouteHeader,
    named: Named<'_>,
) -> Result<Option<PathRoute>, Malformed> {
    let message: RouteMessage = message.parse()?;
    let any = match header.address_family {
        AddressFamily::Inet6 => IpAddr::from([0_u8; 16]),
        _ => IpAddr::from([0_u8; 4]),
    };
    let (mut destination, mut metric, mut mtu, mut source) = (any, 0, None, None);
    let (mut index, mut via, mut hops, mut other) = (None, None, Vec::new(), false);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address).unwrap_or(any),
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Metrics(metrics) => mtu = mtu_of(metrics),
            RouteAttribute::Oif(number) => index = Some(*number),
            RouteAttribute::MultiPath(several) => {
                other |= several.len() > MOST_NEXT_HOPS;
                hops.extend(
                    several
                        .iter()
                        .filter(|hop| !hop.flags.contains(RouteNextHopFlags::Dead)),
                );
                if hops.is_empty() {
                    return Ok(None);
                }
            }
            // An encapsulation takes room that is not read (`lwtunnel_headroom`).
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => other = true,
            attribute => via = router_of(attribute).or(via),
        }
    }
    let destination =
        IpNet::new(destination, header.destination_prefix_length).map_err(|_| Malformed("route"))?;
    let to = match header.kind {
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => RouteTarget::Nowhere,
        RouteType::Unicast if !other => {
            let single = index.filter(|_| hops.is_empty()).map(|index| (index, via));
            let several = hops.iter().map(|hop| (hop.interface_index, via_of(hop)));
            let found: Option<Vec<NextHop>> = single
                .into_iter()
                .chain(several)
                .map(|(index, via)| {
                    Some(NextHop {
                        link: named(index)?,
                        via,
                    })
                })
                .collect();
            // An interface that is newer than the list of interfaces is not known.
            found
                .filter(|hops| !hops.is_empty())
                .map_or(RouteTarget::Elsewhere, RouteTarget::Hops)
        }
        _ => RouteTarget::Elsewhere,
    };
    Ok(Some(PathRoute {
        destination,
        metric,
        to,
        mtu: mtu.filter(|mtu| *mtu != 0),
        source,
    }))
}

fn via_of(hop: &RouteNextHop) -> Option<IpAddr> {
    hop.attributes.iter().find_map(router_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn batch(script: &str) {
        let mut ip = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        ip.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(ip.wait().unwrap().success());
    }

    /// Needs root and iproute2.
    #[test]
    fn default_routes_and_next_hops_are_limited_and_the_preferred_default_route_is_kept() {
        let reads = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let mut script = "link set lo up\n".to_owned();
            // The preferred ones come last.
            for metric in (1..=300).rev() {
                let _ = writeln!(script, "route add default dev lo metric {metric}");
                let _ = writeln!(script, "route add ::/0 dev lo metric {metric}");
            }
            for number in 1..=20 {
                let hops = " nexthop dev lo".repeat(150);
                let _ = writeln!(script, "route add 10.0.{number}.0/24{hops}");
                let _ = writeln!(script, "route add 10.1.{number}.0/24 dev lo");
            }
            batch(&script);
            // Too many words for a batch.
            let hops = ["nexthop", "dev", "lo"].repeat(400);
            let mut many = Command::new("ip");
            many.args(["route", "add", "10.2.0.0/24"]).args(hops);
            assert!(many.status().unwrap().success());
            let mut socket = Socket::open().unwrap();
            let named = |index: u32| (index == 1).then(|| "lo".parse().unwrap());
            let mut read = |bytes| {
                let most = Most { routes: 256, bytes };
                let super::Tables {
                    main: routes,
                    bytes: read,
                    ..
                } = super::read(&mut socket, &named, most).unwrap();
                let hops: usize = routes.routes.iter().map(|route| route.hops().len()).sum();
                let count = |family| routes.defaults(family).len();
                let preferred = [Family::Ipv4, Family::Ipv6].map(|family| routes.defaults(family)[0].metric);
                assert_eq!(preferred, [1, 1], "{bytes}");
                assert!(routes.more);
                (count(Family::Ipv4), count(Family::Ipv6), hops, read)
            };
            let (ipv4, ipv6, hops, bytes) = read(1 << 20);
            assert_eq!((ipv4, ipv6), (MOST_DEFAULT_ROUTES, MOST_DEFAULT_ROUTES));
            // Those of a route with too many are not known.
            assert_eq!(hops, 2 * MOST_DEFAULT_ROUTES + 20 + 20 * 150);
            assert!(bytes > 20 * 150 * 8, "{bytes}");
            let (_, ipv6, hops, bytes) = read(4096);
            assert!(
                ipv6 >= 1 && hops < 600 && bytes <= 4096 + 200,
                "{ipv6} {hops} {bytes}"
            );
        };
        std::thread::scope(|scope| scope.spawn(reads).join().unwrap());
    }
}
