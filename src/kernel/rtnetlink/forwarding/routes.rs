//! The routes of the main table, and the local routes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteType,
};

use crate::netlink::message::{Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::named::Named;
use crate::rtnetlink::route::{dump, ip, mtu_of, router_of};
use netkeel_host::snapshot::forwarding::{NextHop, PathRoute, RouteTarget, Routes};

/// The routes that decide without rules of `ip rule`.
pub(super) struct Tables {
    pub(super) main: Routes,
    /// The destinations of the local routes; none if they are too many.
    pub(super) local: Option<BTreeSet<IpNet>>,
}

/// Reads the main table of both families, at most `most` routes beside the default routes, and as many local routes.
pub(super) fn read(socket: &mut Socket, named: Named<'_>, most: usize) -> Result<Tables, Refusal> {
    let mut found = Routes::default();
    let mut local = BTreeSet::new();
    dump(socket, |message| {
        let Some(header) = header(message)? else {
            return Ok(());
        };
        if header.kind == RouteType::Local && local.len() <= most {
            local.insert(route(message, &header, named)?.destination);
        }
        if header.table != RouteHeader::RT_TABLE_MAIN {
            return Ok(());
        }
        // A host may have a million routes: those beyond the limit are not parsed.
        let is_default = header.destination_prefix_length == 0;
        if !is_default && found.routes.len() >= most {
            found.more = true;
            return Ok(());
        }
        found.routes.push(route(message, &header, named)?);
        Ok(())
    })?;
    // A torn dump is taken again, so that a route may be there several times.
    found.routes.sort();
    found.routes.dedup();
    Ok(Tables {
        main: found,
        local: (local.len() <= most).then_some(local),
    })
}

/// The fixed part of a route that is configured: one of the main table, or a local one of the table for these.
fn header(message: &Message<'_>) -> Result<Option<RouteHeader>, Malformed> {
    if message.kind != libc::RTM_NEWROUTE {
        return Ok(None);
    }
    let header = RouteHeader::parse(message.payload).map_err(|_| Malformed("route"))?;
    let is_of_main = header.table == RouteHeader::RT_TABLE_MAIN
        && !matches!(
            header.kind,
            RouteType::Multicast | RouteType::Broadcast | RouteType::Anycast
        );
    let is_local = header.table == libc::RT_TABLE_LOCAL && header.kind == RouteType::Local;
    let counts = (is_of_main || is_local) && !header.flags.contains(RouteFlags::Cloned);
    Ok(counts.then_some(header))
}

fn route(message: &Message<'_>, header: &RouteHeader, named: Named<'_>) -> Result<PathRoute, Malformed> {
    let message: RouteMessage = message.parse()?;
    let any = match header.address_family {
        AddressFamily::Inet6 => IpAddr::from([0_u8; 16]),
        _ => IpAddr::from([0_u8; 4]),
    };
    let (mut destination, mut metric, mut mtu) = (any, 0, None);
    let (mut index, mut via, mut hops, mut other) = (None, None, Vec::new(), false);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address).unwrap_or(any),
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Metrics(metrics) => mtu = mtu_of(metrics),
            RouteAttribute::Oif(number) => index = Some(*number),
            RouteAttribute::MultiPath(several) => hops.clone_from(several),
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
    Ok(PathRoute {
        destination,
        metric,
        to,
        mtu: mtu.filter(|mtu| *mtu != 0),
    })
}

fn via_of(hop: &RouteNextHop) -> Option<IpAddr> {
    hop.attributes.iter().find_map(router_of)
}
