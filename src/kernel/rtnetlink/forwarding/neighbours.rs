//! The neighbours that are gateways of routes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::neighbour::NeighbourMessage;

use crate::netlink::message::{Attributes, Malformed, Message, u16_at, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::links::address;
use crate::rtnetlink::forwarding::named::Named;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::forwarding::{Neighbour, NeighbourState, Routes};

/// `struct ndmsg`, bytes (include/uapi/linux/neighbour.h).
pub(crate) const FIXED: usize = 12;

/// NDA_DST.
const DESTINATION: u16 = 1;

/// Reads the entries of the gateways of these routes.
pub(super) fn gateways(
    socket: &mut Socket,
    named: Named<'_>,
    routes: &Routes,
) -> Result<Vec<Neighbour>, Refusal> {
    let hops = routes.routes.iter().flat_map(|route| route.hops());
    let wanted: BTreeSet<(LinkName, IpAddr)> = hops.filter_map(|hop| Some((hop.link, hop.via?))).collect();
    let mut found = Vec::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    socket.dump(libc::RTM_GETNEIGH, &NeighbourMessage::default(), |message| {
        let neighbour = one(message, named)?;
        found.extend(neighbour.filter(|one| wanted.contains(&(one.link, one.address))));
        Ok(())
    })?;
    found.sort();
    found.dedup();
    Ok(found)
}

/// Reads an entry; none where it has no address or its interface has no name.
pub(crate) fn one(
    message: &Message<'_>,
    named: &dyn Fn(u32) -> Option<LinkName>,
) -> Result<Option<Neighbour>, Malformed> {
    const WHAT: Malformed = Malformed("neighbour");
    if message.kind != libc::RTM_NEWNEIGH {
        return Ok(None);
    }
    let index = u32_at(message.payload, 4).ok_or(WHAT)?;
    let bits = u16_at(message.payload, 8).ok_or(WHAT)?;
    let mut destination = None;
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        if attribute.kind == DESTINATION {
            destination = address(attribute.value);
        }
    }
    Ok(match (named(index), destination, state(bits)) {
        (Some(link), Some(address), Some(state)) => Some(Neighbour { link, address, state }),
        _ => None,
    })
}

fn state(bits: u16) -> Option<NeighbourState> {
    const ANSWERED: u16 = libc::NUD_REACHABLE | libc::NUD_STALE | libc::NUD_DELAY | libc::NUD_PROBE;
    if bits & (libc::NUD_PERMANENT | libc::NUD_NOARP) != 0 {
        Some(NeighbourState::Permanent)
    } else if bits & ANSWERED != 0 {
        Some(NeighbourState::Answered)
    } else if bits & libc::NUD_FAILED != 0 {
        Some(NeighbourState::Failed)
    } else if bits & libc::NUD_INCOMPLETE != 0 {
        Some(NeighbourState::Waiting)
    } else {
        None
    }
}
