//! The next hops of all routes over rtnetlink.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage};

use crate::netlink::message::{Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::next_hop_objects::Objects;
use crate::rtnetlink::route;
use netkeel_host::snapshot::next_hop::MAIN_TABLE;

/// A next hop of some routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// The interface's index.
    pub index: u32,
    /// The router; none where the route leads to the link itself.
    pub router: Option<IpAddr>,
    /// The routes are of IPv6.
    pub ipv6: bool,
    /// A default route has it.
    pub default: bool,
    /// The table of the default route; that of main for others.
    pub table: u32,
    /// The metric of the default route; 0 for others.
    pub metric: u32,
    /// The program that set the route (`rtm_protocol`); none for default routes.
    pub protocol: Option<u8>,
}

/// Reads the next hops that are routers, and those of default routes, of all tables.
pub(crate) fn read(socket: &mut Socket) -> Result<BTreeSet<Row>, Refusal> {
    let mut found = BTreeSet::new();
    let mut by_object = BTreeSet::new();
    route::dump(socket, |message| {
        if let Some(header) = route::header(message)? {
            let (rows, object) = rows(message, &header)?;
            found.extend(rows);
            by_object.extend(object);
        }
        Ok(())
    })?;
    if !by_object.is_empty() {
        let objects = Objects::read(socket)?;
        for (id, row) in by_object {
            let ways = objects.ways(id)?.into_iter();
            let ways = ways.filter(|(_, router)| row.default || router.is_some());
            found.extend(ways.map(|(index, router)| Row { index, router, ..row }));
        }
    }
    Ok(found)
}

/// The next hops of one route; or the id of its next hop object and a row without an interface.
type Rows = (Vec<Row>, Option<(u32, Row)>);

/// The next hops of one route.
fn rows(message: &Message<'_>, header: &RouteHeader) -> Result<Rows, Malformed> {
    let ipv6 = header.address_family == AddressFamily::Inet6;
    // A route for one type of service is not the route of other packets.
    let default = header.destination_prefix_length == 0 && header.tos == 0;
    let route = message.parse::<RouteMessage>()?;
    let (mut index, mut router, mut object) = (None, None, None);
    let (mut table, mut metric) = (u32::from(header.table), 0);
    let mut found = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(oif) => index = Some(*oif),
            // The header has room for 255 tables.
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::NhId(id) => object = Some(*id),
            RouteAttribute::MultiPath(hops) => {
                let hops = hops.iter().map(|hop| {
                    let router = hop.attributes.iter().find_map(route::router_of);
                    (hop.interface_index, router)
                });
                found.extend(hops);
            }
            other => router = route::router_of(other).or(router),
        }
    }
    found.extend(index.map(|index| (index, router)));
    let object = object.filter(|_| found.is_empty());
    let wanted = found
        .into_iter()
        .filter(|(_, router)| default || router.is_some());
    // Without them, a router of many routes of a program is one row.
    let (table, metric) = match default {
        true => (table, metric),
        false => (MAIN_TABLE, 0),
    };
    let row = |(index, router)| Row {
        index,
        router,
        ipv6,
        default,
        table,
        metric,
        protocol: (!default).then(|| header.protocol.into()),
    };
    Ok((wanted.map(row).collect(), object.map(|id| (id, row((0, None))))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;

    fn found(destination: u8, gateway: Option<[u8; 4]>) -> Vec<Row> {
        routed(destination, 0, gateway, &[])
    }

    fn routed(destination: u8, tos: u8, gateway: Option<[u8; 4]>, more: &[(u16, u32)]) -> Vec<Row> {
        let fixed = [2, destination, 0, tos, 254, 3, 0, 1, 0, 0, 0, 0];
        let mut request =
            Request::new(libc::RTM_NEWROUTE, 0, &fixed).attribute(libc::RTA_OIF, &3_u32.to_ne_bytes());
        for (kind, value) in more {
            request = request.attribute(*kind, &value.to_ne_bytes());
        }
        if let Some(gateway) = gateway {
            request = request.attribute(libc::RTA_GATEWAY, &gateway);
        }
        let payload = request.body().to_vec();
        let message = Message {
            kind: libc::RTM_NEWROUTE,
            flags: 0,
            sequence: 1,
            payload: &payload,
        };
        let header = route::header(&message).unwrap().unwrap();
        rows(&message, &header).unwrap().0
    }

    #[test]
    fn routers_and_default_routes_are_found_and_subnets_are_not() {
        let row = |router, default| Row {
            index: 3,
            router,
            ipv6: false,
            default,
            table: MAIN_TABLE,
            metric: 0,
            // The routes of this test are of RTPROT_BOOT.
            protocol: (!default).then_some(3),
        };
        let router: IpAddr = [192, 0, 2, 1].into();
        assert_eq!(found(0, Some([192, 0, 2, 1])), [row(Some(router), true)]);
        assert_eq!(found(0, None), [row(None, true)]);
        assert_eq!(found(24, Some([192, 0, 2, 1])), [row(Some(router), false)]);
        assert_eq!(found(24, None), []);
    }

    #[test]
    fn a_default_route_has_its_table_and_metric() {
        let more = [(libc::RTA_TABLE, 1_000), (libc::RTA_PRIORITY, 101)];
        let router = Some([192, 0, 2, 1]);
        let place = |rows: Vec<Row>| {
            rows.iter()
                .map(|row| (row.default, row.table, row.metric))
                .collect::<Vec<_>>()
        };
        assert_eq!(place(routed(0, 0, router, &more)), [(true, 1_000, 101)]);
        // A router of other routes is one row, whatever their tables.
        assert_eq!(place(routed(24, 0, router, &more)), [(false, MAIN_TABLE, 0)]);
        assert_eq!(place(routed(0, 0x10, router, &more)), [(false, MAIN_TABLE, 0)]);
    }

    /// Needs root and iproute2.
    #[test]
    fn routes_by_next_hop_objects_lead_by_the_interfaces_of_these() {
        let reads = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            // Then a route names no interface.
            std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap();
            for command in [
                "link set lo up",
                "link add br0 type bridge",
                "link add br1 type bridge",
                "addr add 192.0.2.2/24 dev br0",
                "addr add 198.51.100.2/24 dev br1",
                "-6 addr add 2001:db8::2/64 dev br0 nodad",
                "link set br0 up",
                "link set br1 up",
                "nexthop add id 1 via 192.0.2.1 dev br0",
                "nexthop add id 2 via 198.51.100.1 dev br1",
                "nexthop add id 3 group 1/2",
                "nexthop add id 4 blackhole",
                "nexthop add id 6 via 2001:db8::1 dev br0",
                "route add default nhid 3 metric 50 mtu 1400",
                "route add 10.1.0.0/16 nhid 2",
                "route add default nhid 4 metric 70",
                "-6 route add default nhid 6",
            ] {
                let words = command.split(' ');
                let done = std::process::Command::new("ip").args(words).status().unwrap();
                assert!(done.success(), "{command}");
            }
            let mut socket = Socket::open().unwrap();
            let hops = read(&mut socket).unwrap();
            let shown: BTreeSet<_> = hops
                .iter()
                .map(|row| (row.router.unwrap().to_string(), row.default, row.metric))
                .collect();
            let text = |router: &str, default, metric| (router.to_owned(), default, metric);
            let expected = [
                text("192.0.2.1", true, 50),
                text("198.51.100.1", false, 0),
                text("198.51.100.1", true, 50),
                text("2001:db8::1", true, 1024),
            ];
            assert_eq!(shown, expected.into());
            assert!(hops.iter().all(|row| row.index > 0));
            let mut defaults: Vec<_> = route::defaults(&mut socket)
                .unwrap()
                .iter()
                .map(|hop| (hop.ipv6, hop.mtu, hop.metric, hop.index > 0))
                .collect();
            defaults.sort_unstable();
            let ipv4 = (false, Some(1400), 50, true);
            assert_eq!(defaults, [ipv4, ipv4, (true, None, 1024, true)]);
        };
        std::thread::scope(|scope| scope.spawn(reads).join().unwrap());
    }
}
