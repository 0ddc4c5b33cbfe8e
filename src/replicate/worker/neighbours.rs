//! rtnetlink for peers: interfaces, the route to an address, neighbours, and notifications of changes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;

use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_kernel::netlink::message::{Attributes, Malformed, Message, Request, family, u32_at};
use netkeel_kernel::netlink::refusal::Refusal;
use netkeel_kernel::netlink::socket::{Listener, Received, Socket};

/// `struct ifinfomsg`, bytes.
const LINK_FIXED: usize = 16;

/// The states in which the kernel has a usable address, and those of them that are fresh.
const STALE: u16 = libc::NUD_STALE | libc::NUD_DELAY | libc::NUD_PROBE;

const FRESH: u16 = libc::NUD_REACHABLE | libc::NUD_PERMANENT | libc::NUD_NOARP;

/// Flags of an interface that can send: it is up, and has a carrier or does not report one.
const UP: u32 = (libc::IFF_UP | libc::IFF_RUNNING) as u32;

/// Multicast groups: interfaces, neighbours, addresses of both families.
const GROUPS: [u32; 4] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
];

/// The route to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The address is this node's own.
    Local,
    /// Directly, through this interface.
    OnLink(u32),
    /// Through a router: the interface, and the router's address there.
    Gateway(u32, Option<IpAddr>),
    /// There is no route.
    None,
}

/// An entry of the neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// No entry, or resolution is in progress.
    Absent,
    /// The address does not answer.
    Failed,
    /// A link-layer address that was confirmed lately.
    Fresh([u8; 6]),
    /// A link-layer address that may have changed.
    Stale([u8; 6]),
}

impl Neighbour {
    /// The link-layer address, if there is one.
    pub fn station(self) -> Option<[u8; 6]> {
        match self {
            Neighbour::Fresh(station) | Neighbour::Stale(station) => Some(station),
            Neighbour::Absent | Neighbour::Failed => None,
        }
    }
}

/// An interface: the attributes that matter to peers and copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub name: Option<LinkName>,
    /// MTU, bytes.
    pub mtu: u32,
    /// Whether it is up and has a carrier.
    pub up: bool,
}

/// A change that the kernel reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// An interface was added or changed.
    Link(u32, Link),
    /// An interface was deleted.
    NoLink(u32),
    /// An entry of the neighbour table changed.
    Neighbour {
        link: u32,
        address: IpAddr,
        neighbour: Neighbour,
    },
    /// Addresses changed, and perhaps routes.
    Other,
}

/// A socket that receives notifications of changes.
pub(crate) struct Events(Listener);

/// The receive buffer of notifications, bytes.
const QUEUE: usize = 1024 * 1024;

impl Events {
    /// Subscribes to notifications in the calling thread's namespace.
    pub fn open() -> Result<Self, Error> {
        let mut listener = Listener::open(NETLINK_ROUTE, QUEUE)?;
        for group in GROUPS {
            listener.follow(group, true)?;
        }
        Ok(Events(listener))
    }

    /// Passes the changes since the last call to `each`, and returns whether some were lost. The rest
    /// may stay for the next call; a poll reports them.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Change)) -> bool {
        let mut lost = false;
        self.0.take(|received| match received {
            Received::Message(message) => match change(&message) {
                Ok(change) => change.into_iter().for_each(&mut each),
                Err(Malformed(_)) => lost = true,
            },
            Received::Lost => lost = true,
        });
        lost
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn change(message: &Message<'_>) -> Result<Option<Change>, Malformed> {
    Ok(match message.kind {
        libc::RTM_NEWLINK => link(message)?.map(|(index, link)| Change::Link(index, link)),
        libc::RTM_DELLINK => u32_at(message.payload, 4).map(Change::NoLink),
        libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => neighbour(message)?,
        libc::RTM_NEWADDR | libc::RTM_DELADDR => Some(Change::Other),
        _ => None,
    })
}

/// All interfaces, by index.
pub(crate) fn links(socket: &mut Socket) -> Result<BTreeMap<u32, Link>, Error> {
    let mut links = BTreeMap::new();
    socket.dump(libc::RTM_GETLINK, &LinkMessage::default(), |message| {
        if let (libc::RTM_NEWLINK, Some((index, link))) = (message.kind, link(message)?) {
            links.insert(index, link);
        }
        Ok(())
    })?;
    Ok(links)
}

pub(crate) fn link(message: &Message<'_>) -> Result<Option<(u32, Link)>, Malformed> {
    // Bridges report their ports in a separate address family.
    if message.payload.first() != Some(&0) {
        return Ok(None);
    }
    let index = u32_at(message.payload, 4).ok_or(Malformed("interface"))?;
    let up = u32_at(message.payload, 8).is_some_and(|flags| flags & UP == UP);
    let (mut name, mut mtu) = (None, None);
    for attribute in Attributes::after(message.payload, LINK_FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            libc::IFLA_IFNAME => name = LinkName::new(attribute.string()).ok(),
            libc::IFLA_MTU => mtu = Some(attribute.u32()?),
            _ => {}
        }
    }
    Ok(mtu.map(|mtu| (index, Link { name, mtu, up })))
}

/// The kernel's route to an address, from a source if one is given.
pub(crate) fn route(socket: &mut Socket, source: Option<IpAddr>, address: IpAddr) -> Result<Route, Error> {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
    message.attributes = vec![RouteAttribute::Destination(address.into())];
    if let Some(source) = source {
        message.header.source_prefix_length = message.header.destination_prefix_length;
        message.attributes.push(RouteAttribute::Source(source.into()));
    }
    let request = Request::of(libc::RTM_GETROUTE, libc::NLM_F_ACK, &message);
    let mut route = Route::None;
    let asked = socket.exchange(request, |message| {
        if message.kind == libc::RTM_NEWROUTE {
            route = read_route(message.parse()?);
        }
        Ok(())
    });
    match asked {
        Ok(_) => Ok(route),
        Err(Refusal {
            errno: Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL,
            ..
        }) => Ok(Route::None),
        Err(refusal) => Err(Error::from(refusal).context(format_args!("looking up the route to {address}"))),
    }
}

fn read_route(message: RouteMessage) -> Route {
    let (mut link, mut gateway) = (None, None);
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link = Some(index),
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => gateway = Some(Some(ip.into())),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => gateway = Some(Some(ip.into())),
            RouteAttribute::Via(RouteVia::Inet(ip)) => gateway = Some(Some(ip.into())),
            RouteAttribute::Via(RouteVia::Inet6(ip)) => gateway = Some(Some(ip.into())),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => gateway = Some(None),
            _ => {}
        }
    }
    match (message.header.kind, link, gateway) {
        (RouteType::Local, ..) => Route::Local,
        (RouteType::Unicast, Some(link), Some(router)) => Route::Gateway(link, router),
        (RouteType::Unicast, Some(link), None) => Route::OnLink(link),
        _ => Route::None,
    }
}

/// Passes each entry of the neighbour tables to `each`: interface, address, state.
pub(crate) fn neighbours(
    socket: &mut Socket,
    mut each: impl FnMut(u32, IpAddr, Neighbour),
) -> Result<(), Error> {
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        socket.dump(libc::RTM_GETNEIGH, &message, |message| {
            if let Some(Change::Neighbour {
                link,
                address,
                neighbour,
            }) = neighbour(message)?
            {
                each(link, address, neighbour);
            }
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn neighbour(message: &Message<'_>) -> Result<Option<Change>, Malformed> {
    let NeighbourMessage {
        header, attributes, ..
    } = message.parse()?;
    let (mut address, mut station) = (None, None);
    for attribute in attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(ip.into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(ip.into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => station = bytes.try_into().ok(),
            _ => {}
        }
    }
    let state = u16::from(header.state);
    let neighbour = match station {
        _ if message.kind == libc::RTM_DELNEIGH => Neighbour::Absent,
        _ if state & libc::NUD_FAILED != 0 => Neighbour::Failed,
        Some(station) if state & FRESH != 0 => Neighbour::Fresh(station),
        Some(station) if state & STALE != 0 => Neighbour::Stale(station),
        _ => Neighbour::Absent,
    };
    Ok(address.map(|address| Change::Neighbour {
        link: header.ifindex,
        address,
        neighbour,
    }))
}

/// Makes the kernel resolve a neighbour, as if it had a packet for it.
pub(crate) fn resolve(socket: &mut Socket, link: u32, address: IpAddr) -> Result<(), Refusal> {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = link;
    message.header.flags = NeighbourFlags::Use;
    message.attributes = vec![NeighbourAttribute::Destination(address.into())];
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE;
    socket.change(Request::of(libc::RTM_NEWNEIGH, flags, &message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in 16u16..30, payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let message = Message { kind, flags: 0, sequence: 0, payload: &payload };
            let _ = change(&message);
            let _ = message.parse().map(read_route);
        }
    }
}
