//! Routes with an MTU of their own: reading them, and changing that MTU with all else of the route
//! kept.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags,
    RouteProtocol, RouteScope,
};

use crate::ioctl;
use crate::netlink::message::{Attribute, Attributes, Malformed, Message, Request, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::{ATTEMPTS, Socket};
use crate::rtnetlink::route;
use netkeel_core::name::route::RouteKey;
use netkeel_host::snapshot::pod::{MOST_ROUTES, MOST_ROUTES_WITH_MTU, PodRoute};

/// `struct rtmsg` and `struct rtnexthop`, bytes (include/uapi/linux/rtnetlink.h).
const FIXED: usize = 12;

const NEXT_HOP: usize = 8;

/// Attributes of a route and its metrics (include/uapi/linux/rtnetlink.h); libc has them for glibc alone.
const RTA_VIA: u16 = 18;

const RTA_ENCAP_TYPE: u16 = 21;

const RTA_ENCAP: u16 = 22;

const RTA_NH_ID: u16 = 30;

const RTAX_MTU: u16 = 2;

/// A route as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The indices of the interfaces that it leads by.
    pub indices: Vec<u32>,
    /// Which it is.
    pub key: RouteKey,
    /// The MTU, and how `ip` would say the rest.
    pub route: PodRoute,
    /// The message, to send again. In bytes: a typed one would lose what its types do not hold.
    pub(crate) payload: Vec<u8>,
}

/// Bytes of the messages of a pod's routes with an MTU; one route may have thousands of next hops.
const MOST_BYTES: usize = 64 * 1024;

/// Reads the routes that have an MTU, of all tables. `None` when the namespace has more routes than
/// netkeel reads: a pod decides on that, so the rest is not read.
pub(crate) fn with_mtu(socket: &mut Socket) -> Result<Option<Vec<Row>>, Refusal> {
    let mut found: Vec<Row> = Vec::new();
    let (mut all, mut bytes, mut over) = (0, 0, false);
    let descriptor = socket.raw().as_raw_fd();
    let dumped = route::dump(socket, |message| {
        all += 1;
        if let Some(row) = read(message, &|index| name(descriptor, index))? {
            bytes += row.payload.len();
            found.push(row);
        }
        // A torn dump is taken again, so that a route may be there several times.
        let times = ATTEMPTS as usize;
        over = all > MOST_ROUTES || found.len() > MOST_ROUTES_WITH_MTU * times || bytes > MOST_BYTES * times;
        if over { Err(Malformed("dump")) } else { Ok(()) }
    });
    if over {
        return Ok(None);
    }
    dumped?;
    found.sort_by(|one, other| {
        (one.key, &one.indices, &one.payload).cmp(&(other.key, &other.indices, &other.payload))
    });
    found.dedup();
    let bytes: usize = found.iter().map(|row| row.payload.len()).sum();
    Ok((found.len() <= MOST_ROUTES_WITH_MTU && bytes <= MOST_BYTES).then_some(found))
}

fn name(socket: RawFd, index: u32) -> String {
    match ioctl::name_of(&socket, index.cast_signed()) {
        Ok(name) => name.to_string(),
        Err(_) => format!("if{index}"),
    }
}

/// The request that puts a route in its own place with another MTU: the same route with the same
/// metric is replaced (`fib_table_insert`, `fib6_add_rt2node`).
pub(crate) fn replacement(payload: &[u8], mtu: u32) -> Result<Request, Malformed> {
    const WHAT: Malformed = Malformed("route");
    let mut fixed = *payload.first_chunk::<FIXED>().ok_or(WHAT)?;
    // The other flags are the state of the next hop, which nobody sets.
    let flags = u32_at(payload, 8).ok_or(WHAT)? & RouteFlags::Onlink.bits();
    if let Some(place) = fixed.get_mut(8..) {
        place.copy_from_slice(&flags.to_ne_bytes());
    }
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_REPLACE) as u16;
    let mut request = Request::new(libc::RTM_NEWROUTE, flags, &fixed);
    let all: Vec<Attribute<'_>> = Attributes::after(payload, FIXED)?.collect::<Result<_, _>>()?;
    // The kernel returns the next hops of an object with its id, and refuses them with the id
    // (`fib_create_info`, net/ipv4/fib_semantics.c).
    let by_object = all.iter().any(|attribute| attribute.kind == RTA_NH_ID);
    for attribute in all {
        request = match attribute.kind {
            libc::RTA_CACHEINFO => request,
            libc::RTA_OIF
            | libc::RTA_GATEWAY
            | libc::RTA_MULTIPATH
            | RTA_VIA
            | RTA_ENCAP_TYPE
            | RTA_ENCAP
                if by_object =>
            {
                request
            }
            libc::RTA_MULTIPATH => request.attribute(libc::RTA_MULTIPATH, &settable(attribute.value)),
            libc::RTA_METRICS => {
                let metrics: Vec<Attribute<'_>> = attribute.nested().collect::<Result<_, _>>()?;
                request.nest(libc::RTA_METRICS, |mut nested| {
                    for metric in metrics {
                        nested = match metric.kind {
                            RTAX_MTU => nested.attribute(RTAX_MTU, &mtu.to_ne_bytes()),
                            other => nested.attribute(other, metric.value),
                        };
                    }
                    nested
                })
            }
            other => request.attribute(other, attribute.value),
        };
    }
    Ok(request)
}

/// Next hops without their state, which the kernel returns and does not accept.
fn settable(hops: &[u8]) -> Vec<u8> {
    let mut hops = hops.to_vec();
    let mut at = 0;
    while let Some([low, high, flags]) = hops.get_mut(at..at + 3) {
        *flags &= RouteNextHopFlags::Onlink.bits();
        let length = usize::from(u16::from_ne_bytes([*low, *high]));
        at += length.max(NEXT_HOP).next_multiple_of(4);
    }
    hops
}

pub(crate) fn read(message: &Message<'_>, name: &dyn Fn(u32) -> String) -> Result<Option<Row>, Malformed> {
    let Some(header) = route::header(message)? else {
        return Ok(None);
    };
    let route: RouteMessage = message.parse()?;
    let (mut destination, mut via, mut source) = (None, None, None);
    let (mut indices, mut mtu, mut metric, mut locked) = (Vec::new(), None, 0, false);
    let (mut table, mut hops, mut object) = (u32::from(header.table), None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address),
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Oif(index) => indices.push(*index),
            RouteAttribute::MultiPath(several) => hops = Some(several),
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::NhId(id) => object = Some(*id),
            RouteAttribute::Metrics(metrics) => {
                mtu = route::mtu_of(metrics);
                locked = metrics
                    .iter()
                    .any(|metric| matches!(metric, RouteMetric::Lock(mask) if mask & (1 << RTAX_MTU) != 0));
            }
            _ => {}
        }
    }
    let Some(mtu) = mtu else { return Ok(None) };
    let ipv6 = header.address_family == AddressFamily::Inet6;
    let any = match ipv6 {
        true => IpAddr::from([0_u8; 16]),
        false => IpAddr::from([0_u8; 4]),
    };
    let destination = IpNet::new(destination.unwrap_or(any), header.destination_prefix_length)
        .map_err(|_| Malformed("route"))?;
    let mut rest = String::new();
    if let (Some(via), None) = (via, object) {
        let _ = write!(rest, " via {via}");
    }
    if header.protocol != RouteProtocol::Boot {
        let _ = write!(rest, " proto {}", u8::from(header.protocol));
    }
    if !ipv6 && header.scope != RouteScope::Universe {
        let _ = write!(rest, " scope {}", u8::from(header.scope));
    }
    if let Some(source) = source {
        let _ = write!(rest, " src {source}");
    }
    if header.flags.contains(RouteFlags::Onlink) && hops.is_none() {
        rest.push_str(" onlink");
    }
    for hop in hops.into_iter().flatten() {
        indices.push(hop.interface_index);
        if object.is_none() {
            rest.push_str(&next_hop(hop, &name(hop.interface_index)));
        }
    }
    if let Some(object) = object {
        let _ = write!(rest, " nhid {object}");
    }
    Ok(Some(Row {
        indices,
        key: RouteKey {
            destination,
            metric,
            table,
        },
        route: PodRoute {
            mtu,
            rest: rest.trim_start().into(),
            next_hops: hops.is_some() || object.is_some(),
            locked,
        },
        payload: message.payload.to_vec(),
    }))
}

/// One of several, as `ip` takes it.
fn next_hop(hop: &RouteNextHop, name: &str) -> String {
    let mut text = " nexthop".to_owned();
    for attribute in &hop.attributes {
        if let RouteAttribute::Gateway(address) = attribute
            && let Some(via) = ip(address)
        {
            let _ = write!(text, " via {via}");
        }
    }
    let _ = write!(text, " dev {name}");
    if hop.hops != 0 {
        let _ = write!(text, " weight {}", u32::from(hop.hops) + 1);
    }
    if hop.flags.contains(RouteNextHopFlags::Onlink) {
        text.push_str(" onlink");
    }
    text
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RTAX_LOCK: u16 = 1;

    const RTAX_CWND: u16 = 7;

    fn message(payload: &[u8]) -> Message<'_> {
        Message {
            kind: libc::RTM_NEWROUTE,
            flags: 0,
            sequence: 1,
            payload,
        }
    }

    #[test]
    fn a_route_is_sent_again_with_another_mtu_and_all_else_kept() {
        let fixed = [
            2,
            0,
            0,
            0,
            libc::RT_TABLE_MAIN,
            4,
            0,
            libc::RTN_UNICAST,
            4 | 1,
            0,
            0,
            0,
        ];
        let request = Request::new(libc::RTM_NEWROUTE, 0, &fixed)
            .attribute(libc::RTA_GATEWAY, &[169, 254, 1, 1])
            .attribute(libc::RTA_OIF, &3_u32.to_ne_bytes())
            .nest(libc::RTA_METRICS, |metrics| {
                metrics
                    .attribute(RTAX_MTU, &1500_u32.to_ne_bytes())
                    .attribute(RTAX_CWND, &10_u32.to_ne_bytes())
            })
            .attribute(libc::RTA_CACHEINFO, &[0; 32]);
        let payload = request.body().to_vec();
        let row = read(&message(&payload), &|_| "eth0".into()).unwrap().unwrap();
        assert_eq!(row.key.to_string(), "0.0.0.0/0");
        assert_eq!(
            (row.route.mtu, &*row.route.rest),
            (1500, "via 169.254.1.1 proto 4 onlink")
        );
        let sent = replacement(&payload, 1460).unwrap().body().to_vec();
        let again = read(&message(&sent), &|_| "eth0".into()).unwrap().unwrap();
        assert_eq!((again.route.mtu, &*again.indices), (1460, &[3][..]));
        assert_eq!(again.route.rest, row.route.rest);
        // The state of the next hop and what is counted are not sent; the other metric is.
        assert_eq!(sent[8], 4);
        assert_eq!(sent.len() + 36, payload.len());
    }

    #[test]
    fn a_route_by_several_interfaces_of_another_table_is_one_route() {
        let hop = |index: u8, flags: u8, gateway: [u8; 4]| {
            [
                [16, 0, flags, 0, index, 0, 0, 0].as_slice(),
                &[8, 0, 5, 0],
                &gateway,
            ]
            .concat()
        };
        let hops = [hop(3, 16 | 4, [10, 0, 0, 1]), hop(4, 0, [10, 0, 1, 1])].concat();
        let fixed = [2, 0, 0, 0, 252, 3, 0, libc::RTN_UNICAST, 0, 0, 0, 0];
        let request = Request::new(libc::RTM_NEWROUTE, 0, &fixed)
            .attribute(libc::RTA_TABLE, &1000_u32.to_ne_bytes())
            .attribute(libc::RTA_PRIORITY, &7_u32.to_ne_bytes())
            .attribute(libc::RTA_MULTIPATH, &hops)
            .nest(libc::RTA_METRICS, |metrics| {
                metrics
                    .attribute(RTAX_LOCK, &4_u32.to_ne_bytes())
                    .attribute(RTAX_MTU, &1500_u32.to_ne_bytes())
            });
        let payload = request.body().to_vec();
        let named = |payload: &[u8]| {
            read(&message(payload), &|index| format!("eth{index}"))
                .unwrap()
                .unwrap()
        };
        let row = named(&payload);
        assert_eq!(row.key.to_string(), "0.0.0.0/0 metric 7 table 1000");
        assert_eq!((&*row.indices, row.route.locked), (&[3, 4][..], true));
        let rest = "nexthop via 10.0.0.1 dev eth3 onlink nexthop via 10.0.1.1 dev eth4";
        assert_eq!(&*row.route.rest, rest);
        let sent = replacement(&payload, 1460).unwrap().body().to_vec();
        let again = named(&sent);
        assert_eq!(
            (again.route.mtu, again.key, &*again.route.rest),
            (1460, row.key, rest)
        );
        // That a next hop's interface is down (RTNH_F_LINKDOWN, 16) is not sent.
        assert!(sent.windows(4).any(|bytes| bytes == [16, 0, 4, 0]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = read(&message(&payload), &|_| "eth0".into());
            let _ = replacement(&payload, 1460);
        }

        #[test]
        fn no_attributes_make_it_panic(
            encap in 0u8..12,
            kinds in proptest::collection::vec((0u16..32, any::<bool>(), proptest::collection::vec(0u8..32, 0..40)), 0..6),
        ) {
            let fixed = [10, 0, 0, 0, 254, 3, 0, libc::RTN_UNICAST, 0, 0, 0, 0];
            let request = Request::new(libc::RTM_NEWROUTE, 0, &fixed).attribute(RTA_ENCAP_TYPE, &[encap, 0]);
            let request = kinds.into_iter().fold(request, |request, (kind, nested, value)| match nested {
                true => request.nest(kind, |inner| inner.attribute(u16::from(encap), &value)),
                false => request.attribute(kind, &value),
            });
            let _ = read(&message(request.body()), &|_| "eth0".into());
            let _ = replacement(request.body(), 1460);
        }
    }
}
