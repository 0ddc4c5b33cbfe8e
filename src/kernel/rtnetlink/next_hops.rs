//! The next hops of all routes over rtnetlink.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage};

use crate::netlink::message::{Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
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
}

/// Reads the next hops that are routers, and those of default routes, of all tables.
pub(crate) fn read(socket: &mut Socket) -> Result<BTreeSet<Row>, Refusal> {
    let mut found = BTreeSet::new();
    route::dump(socket, |message| {
        if let Some(header) = route::header(message)? {
            found.extend(rows(message, &header)?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The next hops of one route.
fn rows(message: &Message<'_>, header: &RouteHeader) -> Result<Vec<Row>, Malformed> {
    let ipv6 = header.address_family == AddressFamily::Inet6;
    // A route for one type of service is not the route of other packets.
    let default = header.destination_prefix_length == 0 && header.tos == 0;
    let route = message.parse::<RouteMessage>()?;
    let (mut index, mut router) = (None, None);
    let (mut table, mut metric) = (u32::from(header.table), 0);
    let mut found = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(oif) => index = Some(*oif),
            // The header has room for 255 tables.
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
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
    let wanted = found
        .into_iter()
        .filter(|(_, router)| default || router.is_some());
    // Without them, a router of many routes is one row.
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
    };
    Ok(wanted.map(row).collect())
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
        rows(&message, &header).unwrap()
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
}
