//! The default routes over rtnetlink: by which interfaces packets leave for everywhere else.

use super::message::{Attribute, Attributes, Malformed, Message, Request, u32_at};
use super::netlink::{ATTEMPTS, Dump, Socket};
use super::refusal::Refusal;

/// `struct rtmsg`, bytes: family, destination and source length, TOS, table, protocol, scope, type,
/// flags.
pub(super) const FIXED: usize = 12;

/// In RTA_METRICS (include/uapi/linux/rtnetlink.h).
pub(super) const RTAX_MTU: u16 = 2;

/// `struct rtnexthop`, bytes: length, flags, hops, index.
pub(super) const NEXT_HOP: usize = 8;

/// A default route by one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Default {
    /// The interface's index.
    pub(super) index: u32,
    /// The route's own MTU, bytes.
    pub(super) mtu: Option<u32>,
}

/// Reads the default routes of the main table, of both families, a multipath route once for each
/// interface.
pub(super) fn defaults(socket: &mut Socket) -> Result<Vec<Default>, Refusal> {
    let mut found = Vec::new();
    dump(socket, |message| read(message, &mut found))?;
    Ok(found)
}

/// Gives each route of both families to `each`.
pub(super) fn dump(
    socket: &mut Socket,
    mut each: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
) -> Result<(), Refusal> {
    for family in [libc::AF_INET, libc::AF_INET6] {
        for _ in 0..ATTEMPTS {
            let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
            let mut fixed = [0; FIXED];
            if let Some(first) = fixed.first_mut() {
                *first = family as u8;
            }
            let request = Request::new(libc::RTM_GETROUTE, flags, &fixed);
            // As with addresses, what a torn dump gave is kept.
            if socket.exchange(request, |message| each(&message))? == Dump::Whole {
                break;
            }
        }
    }
    Ok(())
}

fn read(message: &Message<'_>, found: &mut Vec<Default>) -> Result<(), Malformed> {
    const WHAT: Malformed = Malformed("route");
    if message.kind != libc::RTM_NEWROUTE {
        return Ok(());
    }
    let [_, destination, _, _, table, _, _, kind, ..] =
        *message.payload.first_chunk::<FIXED>().ok_or(WHAT)?;
    let flags = u32_at(message.payload, 8).ok_or(WHAT)?;
    // What is cached is no configured route.
    let cached = flags & libc::RTM_F_CLONED != 0;
    if destination != 0 || kind != libc::RTN_UNICAST || table != libc::RT_TABLE_MAIN || cached {
        return Ok(());
    }
    let (mut indices, mut mtu) = (Vec::new(), None);
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            libc::RTA_OIF => indices.push(attribute.u32()?),
            libc::RTA_MULTIPATH => next_hops(attribute, |index, _| indices.push(index))?,
            libc::RTA_METRICS => {
                for metric in attribute.nested() {
                    let metric = metric?;
                    if metric.kind == RTAX_MTU {
                        mtu = Some(metric.u32()?);
                    }
                }
            }
            _ => {}
        }
    }
    found.extend(indices.into_iter().map(|index| Default { index, mtu }));
    Ok(())
}

/// A list of `struct rtnexthop`, each followed by attributes of its own: gives the interface's index and
/// the bytes of each.
pub(super) fn next_hops(attribute: Attribute<'_>, mut each: impl FnMut(u32, &[u8])) -> Result<(), Malformed> {
    const WHAT: Malformed = Malformed("next hop");
    let mut rest = attribute.value;
    while rest.len() >= NEXT_HOP {
        let [low, high, ..] = *rest.first_chunk::<NEXT_HOP>().ok_or(WHAT)?;
        let length = usize::from(u16::from_ne_bytes([low, high]));
        if length < NEXT_HOP {
            return Err(WHAT);
        }
        each(u32_at(rest, 4).ok_or(WHAT)?, rest.get(..length).ok_or(WHAT)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn routes(payload: &[u8]) -> Result<Vec<Default>, Malformed> {
        let mut found = Vec::new();
        let message = Message {
            kind: libc::RTM_NEWROUTE,
            flags: 0,
            sequence: 1,
            payload,
        };
        read(&message, &mut found).map(|()| found)
    }

    fn payload(destination: u8, table: u8, kind: u8) -> Vec<u8> {
        let fixed = [2, destination, 0, 0, table, 3, 0, kind, 0, 0, 0, 0];
        let hop = |index: u8| [8, 0, 0, 0, index, 0, 0, 0];
        let mut request = Request::new(libc::RTM_NEWROUTE, 0, &fixed)
            .attribute(libc::RTA_MULTIPATH, &[hop(3), hop(4)].concat())
            .nest(libc::RTA_METRICS, |metrics| {
                metrics.attribute(RTAX_MTU, &1400_u32.to_ne_bytes())
            });
        request.finish(1)[16..].to_vec()
    }

    #[test]
    fn a_default_route_has_each_of_its_interfaces_and_its_mtu() {
        let found = routes(&payload(0, libc::RT_TABLE_MAIN, libc::RTN_UNICAST)).unwrap();
        let found: Vec<_> = found.iter().map(|route| (route.index, route.mtu)).collect();
        assert_eq!(found, [(3, Some(1400)), (4, Some(1400))]);
        for other in [
            payload(24, libc::RT_TABLE_MAIN, libc::RTN_UNICAST),
            payload(0, 255, libc::RTN_UNICAST),
            payload(0, libc::RT_TABLE_MAIN, libc::RTN_UNREACHABLE),
        ] {
            assert_eq!(routes(&other).unwrap(), []);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = routes(&payload);
        }
    }
}
