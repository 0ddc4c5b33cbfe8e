//! Routes over rtnetlink, each with its metrics and with the message to send again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteProtocol,
    RouteScope,
};

use crate::ioctl;
use crate::netlink::message::{Attributes, Malformed, Message, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::{ATTEMPTS, Socket};
use crate::rtnetlink::metrics::{FIXED, Metrics};
use crate::rtnetlink::route;
use crate::rtnetlink::route::ip;
use netkeel_core::name::route::{Metric, RouteKey};
use netkeel_host::snapshot::pod::{MOST_ROUTES, MOST_ROUTES_WITH_MTU, PodRoute, Unwritable};
use netkeel_host::snapshot::route::{Route, RouteMtu};

/// Offset of `rta_expires` in `struct rta_cacheinfo`: 0 for a route without a lifetime.
const EXPIRES: usize = 8;

/// RTPROT_RA (include/uapi/linux/rtnetlink.h).
const ROUTER_ADVERTISEMENT: u8 = 9;

/// A route as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The indices of its interfaces.
    pub indices: Vec<u32>,
    /// Its key.
    pub key: RouteKey,
    /// Its metrics.
    pub metrics: Metrics,
    /// The other attributes, as `ip route` takes them, without the metrics that netkeel writes.
    pub rest: String,
    /// Whether `rest` names next hops.
    pub next_hops: bool,
    /// Whether it has a lifetime or comes from a router advertisement: a replacement would lose that.
    pub temporary: bool,
    /// The message, to send again. In bytes: a typed one would lose what its types do not hold.
    pub payload: Vec<u8>,
}

impl Row {
    /// The route as one of the host.
    pub fn into_route(self) -> Route {
        let metrics = self.metrics;
        let mut locked = Metric::ALL.to_vec();
        locked.retain(|metric| metrics.is_locked(*metric));
        Route {
            locked: locked.into_iter().collect(),
            metrics: metrics.values,
            rest: self.rest.into(),
            next_hops: self.next_hops,
            temporary: self.temporary,
            several: false,
        }
    }

    /// The route as a pod's; `None` without an MTU.
    pub fn as_pod_route(&self) -> Option<PodRoute> {
        let mtu = *self.metrics.values.get(&Metric::Mtu)?;
        let mut rest = String::new();
        for (metric, value) in &self.metrics.values {
            if *metric != Metric::Mtu {
                let lock = if self.metrics.is_locked(*metric) {
                    " lock"
                } else {
                    ""
                };
                let _ = write!(rest, " {metric}{lock} {value}");
            }
        }
        let _ = write!(rest, " {}", self.rest);
        Some(PodRoute {
            mtu,
            rest: rest.trim().into(),
            next_hops: self.next_hops,
            locked: self.metrics.is_locked(Metric::Mtu),
            unwritable: self.temporary.then_some(Unwritable::Temporary),
        })
    }
}

/// Most bytes of the messages of a pod's routes with an MTU; one route may have thousands of next hops.
const MOST_BYTES: usize = 64 * 1024;

/// Bytes of a message that count as one route. One next hop takes no more than 200.
const ONE: usize = 512;

/// Reads the routes of all tables that have an MTU. `None` when the namespace has more routes than netkeel
/// reads: a pod decides on that, so the rest is not read.
pub(crate) fn with_mtu(socket: &mut Socket) -> Result<Option<Vec<Row>>, Refusal> {
    with_mtu_and_defaults(socket, &mut Defaults::default())
}

/// The interfaces by which the default routes of a main table lead.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    /// Their indices.
    indices: BTreeSet<u32>,
    /// A default route names a next hop object and no interface.
    is_open: bool,
}

impl Defaults {
    /// Whether a default route leads by an interface; none where that is not known.
    pub(crate) fn lead_by(&self, index: u32) -> Option<bool> {
        let leads = self.indices.contains(&index);
        (leads || !self.is_open).then_some(leads)
    }

    fn add(&mut self, message: &Message<'_>, header: &RouteHeader) -> Result<(), Malformed> {
        let is_default = header.destination_prefix_length == 0 && header.tos == 0;
        if is_default && header.table == RouteHeader::RT_TABLE_MAIN {
            let (hops, object) = route::hops(message)?;
            self.indices.extend(hops.iter().map(|hop| hop.index));
            self.is_open |= object.is_some();
        }
        Ok(())
    }
}

/// The same as [`with_mtu`], and the interfaces of the default routes.
pub(crate) fn with_mtu_and_defaults(
    socket: &mut Socket,
    defaults: &mut Defaults,
) -> Result<Option<Vec<Row>>, Refusal> {
    let mut found: Vec<Row> = Vec::new();
    let (mut all, mut bytes, mut over) = (0, 0, false);
    let name = named_by(socket);
    let dumped = route::dump(socket, |message| {
        // One with many next hops is as much work as several.
        all += message.payload.len().div_ceil(ONE);
        // Most have no MTU, and their next hops are not looked at.
        if let Some(header) = route::header(message)? {
            defaults.add(message, &header)?;
            if Metrics::read(message.payload)?.values.contains_key(&Metric::Mtu) {
                bytes += message.payload.len();
                found.push(read(message, &header, &name)?);
            }
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
    without_repetitions(&mut found);
    let bytes: usize = found.iter().map(|row| row.payload.len()).sum();
    Ok((found.len() <= MOST_ROUTES_WITH_MTU && bytes <= MOST_BYTES).then_some(found))
}

/// The MTUs of the routes of all tables that have one of their own, each with the indices of its interfaces. A route
/// of a next hop object without its interfaces has none.
pub(crate) fn own_mtus(socket: &mut Socket) -> Result<Vec<(Vec<u32>, RouteMtu)>, Refusal> {
    let mut found = Vec::new();
    route::dump(socket, |message| {
        let Some(header) = route::header(message)? else {
            return Ok(());
        };
        let metrics = Metrics::read(message.payload)?;
        if let Some(mtu) = metrics.values.get(&Metric::Mtu).filter(|mtu| **mtu > 0) {
            let row = read(message, &header, &|_| String::new())?;
            let own = RouteMtu {
                mtu: *mtu,
                route: row.key,
                locked: metrics.is_locked(Metric::Mtu),
            };
            found.push((row.indices, own));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Sorts rows and removes those that a torn dump gave again.
fn without_repetitions(rows: &mut Vec<Row>) {
    rows.sort_by(|one, other| {
        (one.key, &one.indices, &one.payload).cmp(&(other.key, &other.indices, &other.payload))
    });
    rows.dedup();
}

/// Gives the name of an interface by its index.
fn named_by(socket: &Socket) -> impl Fn(u32) -> String + use<> {
    let descriptor = socket.raw().as_raw_fd();
    move |index| match ioctl::name_of(&descriptor, index.cast_signed()) {
        Ok(name) => name.to_string(),
        Err(_) => format!("if{index}"),
    }
}

/// Reads the routes whose header is wanted. A host may have a million routes, and the attributes of
/// the others are not parsed.
pub(crate) fn read_routes(
    socket: &mut Socket,
    wanted: &dyn Fn(&RouteHeader) -> bool,
) -> Result<Vec<Row>, Refusal> {
    let mut found = Vec::new();
    let name = named_by(socket);
    route::dump(socket, |message| {
        if let Some(header) = route::header(message)?.filter(wanted) {
            found.push(read(message, &header, &name)?);
        }
        Ok(())
    })?;
    without_repetitions(&mut found);
    Ok(found)
}

/// Reads a route; `name` gives the name of an interface by its index.
pub(crate) fn read(
    message: &Message<'_>,
    header: &RouteHeader,
    name: &dyn Fn(u32) -> String,
) -> Result<Row, Malformed> {
    let route: RouteMessage = message.parse()?;
    let (mut destination, mut via, mut source) = (None, None, None);
    let (mut indices, mut metric) = (Vec::new(), 0);
    let mut temporary = u8::from(header.protocol) == ROUTER_ADVERTISEMENT;
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
            _ => {}
        }
    }
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        if attribute.kind == libc::RTA_CACHEINFO {
            temporary |= u32_at(attribute.value, EXPIRES).is_some_and(|expires| expires != 0);
        }
    }
    let metrics = Metrics::read(message.payload)?;
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
    rest.push_str(&metrics.others);
    for hop in hops.into_iter().flatten() {
        indices.push(hop.interface_index);
        if object.is_none() {
            rest.push_str(&next_hop(hop, &name(hop.interface_index)));
        }
    }
    if let Some(object) = object {
        let _ = write!(rest, " nhid {object}");
    }
    Ok(Row {
        indices,
        key: RouteKey {
            destination,
            metric,
            table,
        },
        metrics,
        rest: rest.trim_start().into(),
        next_hops: hops.is_some() || object.is_some(),
        temporary,
        payload: message.payload.to_vec(),
    })
}

/// A next hop of several, as `ip route` takes it.
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
