//! Routes with an MTU of their own: reading them, and changing that MTU with all else of the route
//! kept.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::message::{Attribute, Attributes, Malformed, Message, Request, u32_at};
use super::super::netlink::Socket;
use super::super::refusal::Refusal;
use super::super::route::{self, FIXED, RTAX_MTU};
use crate::error::{Error, ErrorKind};
use crate::snapshot::PodRoute;

/// In the flags: the gateway counts as reachable.
const ONLINK: u32 = 4;

/// A route as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The interface's index.
    pub(super) index: u32,
    /// Where it leads.
    pub(super) destination: IpNet,
    /// The MTU, and how `ip` would say the rest.
    pub(super) route: PodRoute,
    metric: u32,
    /// The message, to send again.
    payload: Vec<u8>,
}

/// Reads the routes of the main table that have an MTU, those that are taken first before others.
pub(super) fn with_mtu(socket: &mut Socket) -> Result<Vec<Row>, Refusal> {
    let mut found = Vec::new();
    route::dump(socket, |message| {
        found.extend(read(message)?);
        Ok(())
    })?;
    found.sort_by_key(|row: &Row| (row.destination, row.metric));
    Ok(found)
}

/// Gives a route another MTU.
pub(super) fn set_mtu(
    socket: &mut Socket,
    index: u32,
    destination: IpNet,
    was: u32,
    mtu: u32,
) -> Result<(), Error> {
    let rows = with_mtu(socket)?;
    let row = rows
        .iter()
        .find(|row| row.index == index && row.destination == destination);
    let Some(row) = row else {
        return Err(Error::new(
            ErrorKind::Missing,
            format!("the pod has no route to {destination} with an MTU any more"),
        ));
    };
    if row.route.mtu == mtu {
        return Ok(());
    }
    if row.route.mtu != was {
        let message = format!(
            "somebody else has written it since it was read: the MTU of the route to {destination} was {was} and is {}",
            row.route.mtu
        );
        return Err(Error::new(ErrorKind::Refused, message).hint("look again"));
    }
    Ok(socket.change(replacement(&row.payload, mtu).map_err(Refusal::from)?)?)
}

/// The request that puts a route in its own place with another MTU: the same route with the same
/// metric is replaced (`fib_table_insert`, `fib6_add_rt2node`).
fn replacement(payload: &[u8], mtu: u32) -> Result<Request, Malformed> {
    const WHAT: Malformed = Malformed("route");
    let mut fixed = *payload.first_chunk::<FIXED>().ok_or(WHAT)?;
    // The other flags are the state of the next hop, which nobody sets.
    let flags = u32_at(payload, 8).ok_or(WHAT)? & ONLINK;
    if let Some(place) = fixed.get_mut(8..) {
        place.copy_from_slice(&flags.to_ne_bytes());
    }
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_REPLACE) as u16;
    let mut request = Request::new(libc::RTM_NEWROUTE, flags, &fixed);
    for attribute in Attributes::after(payload, FIXED)? {
        let attribute = attribute?;
        request = match attribute.kind {
            libc::RTA_CACHEINFO => request,
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

fn read(message: &Message<'_>) -> Result<Option<Row>, Malformed> {
    const WHAT: Malformed = Malformed("route");
    if message.kind != libc::RTM_NEWROUTE {
        return Ok(None);
    }
    let [family, length, _, _, table, protocol, scope, kind, ..] =
        *message.payload.first_chunk::<FIXED>().ok_or(WHAT)?;
    let flags = u32_at(message.payload, 8).ok_or(WHAT)?;
    // What is cached is no configured route.
    if kind != libc::RTN_UNICAST || table != libc::RT_TABLE_MAIN || flags & libc::RTM_F_CLONED != 0 {
        return Ok(None);
    }
    let ipv6 = libc::c_int::from(family) == libc::AF_INET6;
    let (mut destination, mut via, mut source) = (None, None, None);
    let (mut index, mut mtu, mut metric) = (None, None, 0);
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            libc::RTA_DST => destination = ip(attribute),
            libc::RTA_GATEWAY => via = ip(attribute),
            libc::RTA_PREFSRC => source = ip(attribute),
            libc::RTA_OIF => index = Some(attribute.u32()?),
            libc::RTA_PRIORITY => metric = attribute.u32()?,
            libc::RTA_METRICS => {
                for inner in attribute.nested() {
                    let inner = inner?;
                    if inner.kind == RTAX_MTU {
                        mtu = Some(inner.u32()?);
                    }
                }
            }
            _ => {}
        }
    }
    let any = if ipv6 {
        IpAddr::from([0_u8; 16])
    } else {
        IpAddr::from([0_u8; 4])
    };
    let destination = IpNet::new(destination.unwrap_or(any), length).map_err(|_| WHAT)?;
    let (Some(index), Some(mtu)) = (index, mtu) else {
        return Ok(None);
    };
    let mut rest = String::new();
    let mut word = |text: String| {
        rest.push(' ');
        rest.push_str(&text);
    };
    if let Some(via) = via {
        word(format!("via {via}"));
    }
    if protocol != libc::RTPROT_BOOT {
        word(format!("proto {protocol}"));
    }
    if !ipv6 && scope != libc::RT_SCOPE_UNIVERSE {
        word(format!("scope {scope}"));
    }
    if let Some(source) = source {
        word(format!("src {source}"));
    }
    if metric != 0 {
        word(format!("metric {metric}"));
    }
    if flags & ONLINK != 0 {
        word("onlink".to_owned());
    }
    Ok(Some(Row {
        index,
        destination,
        route: PodRoute {
            mtu,
            rest: rest.trim_start().into(),
        },
        metric,
        payload: message.payload.to_vec(),
    }))
}

fn ip(attribute: Attribute<'_>) -> Option<IpAddr> {
    match attribute.value.len() {
        4 => Some(IpAddr::from(*attribute.value.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*attribute.value.first_chunk::<16>()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let mut request = Request::new(libc::RTM_NEWROUTE, 0, &fixed)
            .attribute(libc::RTA_GATEWAY, &[169, 254, 1, 1])
            .attribute(libc::RTA_OIF, &3_u32.to_ne_bytes())
            .nest(libc::RTA_METRICS, |metrics| {
                metrics
                    .attribute(RTAX_MTU, &1500_u32.to_ne_bytes())
                    .attribute(7, &10_u32.to_ne_bytes())
            })
            .attribute(libc::RTA_CACHEINFO, &[0; 32]);
        let payload = request.finish(1)[16..].to_vec();
        let row = read(&message(&payload)).unwrap().unwrap();
        assert_eq!(row.destination.to_string(), "0.0.0.0/0");
        assert_eq!(
            (row.route.mtu, &*row.route.rest),
            (1500, "via 169.254.1.1 proto 4 onlink")
        );
        let sent = replacement(&payload, 1460).unwrap().finish(2)[16..].to_vec();
        let again = read(&message(&sent)).unwrap().unwrap();
        assert_eq!((again.route.mtu, again.index), (1460, 3));
        assert_eq!(again.route.rest, row.route.rest);
        // The state of the next hop and what is counted are not sent; the other metric is.
        assert_eq!(sent[8], 4);
        assert_eq!(sent.len() + 36, payload.len());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = read(&message(&payload));
            let _ = replacement(&payload, 1460);
        }
    }
}
