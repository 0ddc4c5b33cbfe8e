//! Routes over rtnetlink: the default routes, and the route to one destination.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use nix::errno::Errno;

use crate::netlink::message::{Attributes, Malformed, Message, Request};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::metrics::FIXED;
use crate::rtnetlink::next_hop_objects::Objects;

/// The longest prefix of a route to an eighth of all addresses.
const WIDE: u8 = 3;

/// One way out of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// The interface's index.
    pub index: u32,
    /// The route's own MTU, bytes.
    pub mtu: Option<u32>,
    /// It is a route for IPv6.
    pub ipv6: bool,
    /// The kernel prefers the smallest.
    pub metric: u32,
}

/// The id of a next hop object, and a way whose interface it tells.
type ByObject = (u32, Hop);

/// Reads the default routes of the main table, of both families, a multipath route once for each
/// interface.
pub(crate) fn defaults(socket: &mut Socket) -> Result<Vec<Hop>, Refusal> {
    let mut found = Vec::new();
    let mut by_object = Vec::new();
    dump(socket, |message| read(message, &mut found, &mut by_object))?;
    if !by_object.is_empty() {
        let objects = Objects::read(socket)?;
        for (id, hop) in by_object {
            let ways = objects.ways(id)?.into_iter();
            found.extend(ways.map(|(index, _)| Hop { index, ..hop }));
        }
    }
    Ok(found)
}

/// The indices of the interfaces of the routes of all tables but `except` that lead to an eighth of all addresses or
/// more: a default route may be written in two halves, and that to the IPv6 internet is 2000::/3.
pub(crate) fn wide(socket: &mut Socket, except: &BTreeSet<u32>) -> Result<BTreeSet<u32>, Refusal> {
    let (mut found, mut objects) = (BTreeSet::new(), BTreeSet::new());
    dump(socket, |message| {
        if is_wide(message, except)? {
            let (hops, by_object) = hops(message)?;
            objects.extend(by_object.map(|(id, _)| id));
            found.extend(hops.iter().map(|hop| hop.index));
        }
        Ok(())
    })?;
    if !objects.is_empty() {
        let known = Objects::read(socket)?;
        for id in objects {
            found.extend(known.ways(id)?.into_iter().map(|(index, _)| index));
        }
    }
    Ok(found)
}

fn is_wide(message: &Message<'_>, except: &BTreeSet<u32>) -> Result<bool, Malformed> {
    let Some(header) = header(message)?.filter(|header| header.destination_prefix_length <= WIDE) else {
        return Ok(false);
    };
    // The header has room for 255 tables.
    let table = number(message, libc::RTA_TABLE)?.unwrap_or(u32::from(header.table));
    Ok(!except.contains(&table))
}

/// An attribute of a route that is a number.
fn number(message: &Message<'_>, kind: u16) -> Result<Option<u32>, Malformed> {
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        if attribute.kind == kind {
            return attribute.u32().map(Some);
        }
    }
    Ok(None)
}

/// Gives each route of both families to `each`.
pub(crate) fn dump(
    socket: &mut Socket,
    mut each: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
) -> Result<(), Refusal> {
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        socket.dump(libc::RTM_GETROUTE, &message, &mut each)?;
    }
    Ok(())
}

/// The fixed part of a route that is configured and leads somewhere. A host may have a million routes:
/// the attributes of those that nobody wants are not read.
pub(crate) fn header(message: &Message<'_>) -> Result<Option<RouteHeader>, Malformed> {
    if message.kind != libc::RTM_NEWROUTE {
        return Ok(None);
    }
    let header = RouteHeader::parse(message.payload).map_err(|_| Malformed("route"))?;
    // A cached entry is not a configured route.
    let configured = header.kind == RouteType::Unicast && !header.flags.contains(RouteFlags::Cloned);
    Ok(configured.then_some(header))
}

/// `by_object` gets the routes that name a next hop object and no interface.
fn read(message: &Message<'_>, found: &mut Vec<Hop>, by_object: &mut Vec<ByObject>) -> Result<(), Malformed> {
    let wanted = |header: &RouteHeader| {
        // A route for one type of service is not the route of other packets.
        header.destination_prefix_length == 0 && header.table == RouteHeader::RT_TABLE_MAIN && header.tos == 0
    };
    if !header(message)?.is_some_and(|header| wanted(&header)) {
        return Ok(());
    }
    let (hops, object) = hops(message)?;
    found.extend(hops);
    by_object.extend(object);
    Ok(())
}

/// The route that the kernel chooses for a destination (`ip route get`), with the MTU that it learned for it.
/// Rules may choose by the firewall mark of the packet.
pub(crate) fn to(socket: &mut Socket, destination: IpAddr, mark: Option<u32>) -> Result<Hop, Refusal> {
    let mut message = query(destination);
    message.attributes.extend(mark.map(RouteAttribute::Mark));
    let request = Request::of(libc::RTM_GETROUTE, 0, &message);
    let mut found = Vec::new();
    socket.exchange(request, |message| {
        if message.kind == libc::RTM_NEWROUTE {
            // The answer to a lookup has its interface in any case (`rt_fill_info`, `rt6_fill_node`).
            found.extend(hops(&message)?.0);
        }
        Ok(())
    })?;
    found.into_iter().next().ok_or(Refusal::from(Errno::ENETUNREACH))
}

/// A route that the kernel chose, with its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChosenRoute {
    /// The interface's index.
    pub index: u32,
    /// The next router; `None` on the same link.
    pub gateway: Option<IpAddr>,
    /// The route's own MTU, bytes.
    pub mtu: Option<u32>,
}

/// Where the MTU of a chosen route comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The configured route (`ip route get fibmatch`).
    Configured,
    /// The route that packets use now: the one that the kernel learned for the destination, otherwise the
    /// configured one.
    InForce,
}

/// The route that the kernel chooses for a destination.
pub(crate) fn chosen(
    socket: &mut Socket,
    destination: IpAddr,
    lookup: Lookup,
) -> Result<ChosenRoute, Refusal> {
    let mut message = query(destination);
    if lookup == Lookup::Configured {
        message.header.flags = RouteFlags::FibMatch;
    }
    let request = Request::of(libc::RTM_GETROUTE, 0, &message);
    let mut found = None;
    socket.exchange(request, |message| {
        if message.kind == libc::RTM_NEWROUTE {
            found = found.or(read_chosen(&message)?);
        }
        Ok(())
    })?;
    found.ok_or(Refusal::from(Errno::ENETUNREACH))
}

fn read_chosen(message: &Message<'_>) -> Result<Option<ChosenRoute>, Malformed> {
    let (mut index, mut gateway, mut mtu) = (None, None, None);
    for attribute in message.parse::<RouteMessage>()?.attributes {
        match attribute {
            RouteAttribute::Oif(found) => index = Some(found),
            RouteAttribute::Metrics(metrics) => mtu = mtu_of(&metrics).filter(|mtu| *mtu > 0),
            // All paths of a multipath route have the same metrics.
            RouteAttribute::MultiPath(hops) => index = index.or(hops.first().map(|hop| hop.interface_index)),
            other => gateway = router_of(&other).or(gateway),
        }
    }
    Ok(index.map(|index| ChosenRoute { index, gateway, mtu }))
}

/// The router that an attribute of a route or of a next hop names, if it is one.
pub(crate) fn router_of(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(ip)) => Some((*ip).into()),
        RouteAttribute::Via(RouteVia::Inet6(ip)) => Some((*ip).into()),
        _ => None,
    }
}

/// An address of a route; `None` if it is neither IPv4 nor IPv6.
pub(crate) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

/// The question for the route to one destination.
fn query(destination: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (family, length) = match destination {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = length;
    message.attributes = vec![RouteAttribute::Destination(destination.into())];
    message
}

/// The ways of one route; or the id of its next hop object and a way without an interface, where the route names none.
pub(crate) fn hops(message: &Message<'_>) -> Result<(Vec<Hop>, Option<ByObject>), Malformed> {
    let (mut indices, mut mtu, mut metric, mut object) = (Vec::new(), None, 0, None);
    let route = message.parse::<RouteMessage>()?;
    let ipv6 = route.header.address_family == AddressFamily::Inet6;
    for attribute in route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => indices.push(index),
            RouteAttribute::MultiPath(hops) => indices.extend(hops.iter().map(|hop| hop.interface_index)),
            RouteAttribute::Metrics(metrics) => mtu = mtu_of(&metrics),
            RouteAttribute::Priority(number) => metric = number,
            RouteAttribute::NhId(id) => object = Some(id),
            _ => {}
        }
    }
    let hop = |index| Hop {
        index,
        mtu,
        ipv6,
        metric,
    };
    let by_object = object.filter(|_| indices.is_empty()).map(|id| (id, hop(0)));
    Ok((indices.into_iter().map(hop).collect(), by_object))
}

/// The MTU among the metrics of a route, in bytes.
pub(crate) fn mtu_of(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// In RTA_METRICS (include/uapi/linux/rtnetlink.h).
    const RTAX_MTU: u16 = 2;

    fn routes(payload: &[u8]) -> Result<Vec<Hop>, Malformed> {
        let mut found = Vec::new();
        let message = Message {
            kind: libc::RTM_NEWROUTE,
            flags: 0,
            sequence: 1,
            payload,
        };
        read(&message, &mut found, &mut Vec::new()).map(|()| found)
    }

    fn payload(destination: u8, table: u8, kind: u8) -> Vec<u8> {
        let fixed = [2, destination, 0, 0, table, 3, 0, kind, 0, 0, 0, 0];
        let hop = |index: u8| [8, 0, 0, 0, index, 0, 0, 0];
        let request = Request::new(libc::RTM_NEWROUTE, 0, &fixed)
            .attribute(libc::RTA_MULTIPATH, &[hop(3), hop(4)].concat())
            .attribute(libc::RTA_PRIORITY, &101_u32.to_ne_bytes())
            .nest(libc::RTA_METRICS, |metrics| {
                metrics.attribute(RTAX_MTU, &1400_u32.to_ne_bytes())
            });
        request.body().to_vec()
    }

    #[test]
    fn a_default_route_has_each_of_its_interfaces_and_its_mtu() {
        let found = routes(&payload(0, libc::RT_TABLE_MAIN, libc::RTN_UNICAST)).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|route| (route.index, route.mtu, route.metric, route.ipv6))
            .collect();
        assert_eq!(found, [(3, Some(1400), 101, false), (4, Some(1400), 101, false)]);
        for other in [
            payload(24, libc::RT_TABLE_MAIN, libc::RTN_UNICAST),
            payload(0, 255, libc::RTN_UNICAST),
            payload(0, libc::RT_TABLE_MAIN, libc::RTN_UNREACHABLE),
        ] {
            assert_eq!(routes(&other).unwrap(), []);
        }
    }

    #[test]
    fn a_half_of_all_addresses_in_any_table_is_wide_and_a_network_is_not() {
        let wide = |destination, table, except: &[u32]| {
            let payload = payload(destination, table, libc::RTN_UNICAST);
            let message = Message {
                kind: libc::RTM_NEWROUTE,
                flags: 0,
                sequence: 1,
                payload: &payload,
            };
            is_wide(&message, &except.iter().copied().collect()).unwrap()
        };
        assert!(wide(0, libc::RT_TABLE_MAIN, &[]) && wide(1, 100, &[]) && wide(3, 100, &[101]));
        assert!(!wide(8, libc::RT_TABLE_MAIN, &[]) && !wide(0, 100, &[100]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = routes(&payload);
        }
    }
}
