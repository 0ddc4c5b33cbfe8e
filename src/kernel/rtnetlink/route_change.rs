//! Changes one metric of a route and keeps everything else of it.

use crate::netlink::message::{Attribute, Attributes, Malformed, Request, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::metrics::{FIXED, number};
use crate::rtnetlink::route_row::{Row, read_routes};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::route::{Metric, RouteKey};
use netlink_packet_route::route::{RouteFlags, RouteNextHopFlags};

/// `struct rtnexthop`, bytes (include/uapi/linux/rtnetlink.h).
const NEXT_HOP: usize = 8;

/// Attributes of a route (include/uapi/linux/rtnetlink.h); libc has them for glibc alone.
const RTA_VIA: u16 = 18;

const RTA_ENCAP_TYPE: u16 = 21;

const RTA_ENCAP: u16 = 22;

const RTA_NH_ID: u16 = 30;

/// A change of one metric of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricChange {
    /// The metric.
    pub metric: Metric,
    /// The value that the route must have now, bytes; `None` if it must not have the metric.
    pub was: Option<u32>,
    /// The value to set, bytes; `None` removes the metric.
    pub to: Option<u32>,
}

/// Changes a metric of the one route with this key, which has this interface.
pub(crate) fn set(
    socket: &mut Socket,
    index: u32,
    key: RouteKey,
    change: &MetricChange,
) -> Result<(), Error> {
    let length = key.destination.prefix_len();
    let rows = read_routes(socket, &|header| header.destination_prefix_length == length)?;
    match request(&rows, index, key, change)? {
        Some(request) => Ok(socket.change(request)?),
        None => Ok(()),
    }
}

/// The request for a change of the one route with this key, which has this interface; `None` if the metric has
/// the value already. `rows` has the routes with this key, and may have others.
pub(crate) fn request(
    rows: &[Row],
    index: u32,
    key: RouteKey,
    change: &MetricChange,
) -> Result<Option<Request>, Error> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.key == key).collect();
    let gone = || {
        let message = format!("the interface no longer has a route to {key}");
        Error::new(ErrorKind::Missing, message)
    };
    // The kernel would replace the first of several with one key (`fib_find_alias`, net/ipv4/fib_trie.c).
    let row = match rows.as_slice() {
        [] => return Err(gone()),
        [row] if row.indices.contains(&index) => row,
        [_] => return Err(gone()),
        _ => {
            let message =
                format!("there are several routes to {key}, and the kernel could replace the wrong one");
            return Err(Error::new(ErrorKind::Refused, message).hint("give the routes different metrics"));
        }
    };
    let (metric, is) = (change.metric, row.metrics.values.get(&change.metric).copied());
    if is == change.to {
        return Ok(None);
    }
    if is != change.was {
        let say = |value: Option<u32>| value.map_or_else(|| "absent".to_owned(), |value| value.to_string());
        let message = format!(
            "another program changed the {metric} of the route to {key}: it was {} and is {}",
            say(change.was),
            say(is)
        );
        return Err(
            Error::new(ErrorKind::Refused, message).hint("run the command again, which reads the route anew")
        );
    }
    if row.temporary {
        let message =
            format!("the route to {key} has a lifetime, which a change of its {metric} would remove");
        return Err(Error::new(ErrorKind::Refused, message)
            .hint("change the router advertisement, or set the MTU of the interface"));
    }
    Ok(Some(replacement(&row.payload, change).map_err(Refusal::from)?))
}

/// The request that replaces a route by itself with another metric. The kernel replaces the route with
/// the same destination and priority (`fib_table_insert`, `fib6_add_rt2node`).
fn replacement(payload: &[u8], change: &MetricChange) -> Result<Request, Malformed> {
    const WHAT: Malformed = Malformed("route");
    let mut fixed = *payload.first_chunk::<FIXED>().ok_or(WHAT)?;
    // The other flags are the state of the next hop, which cannot be set.
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
    let mut metrics: Vec<(u16, Vec<u8>)> = Vec::new();
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
                for metric in attribute.nested() {
                    let metric = metric?;
                    if metric.kind != number(change.metric) {
                        metrics.push((metric.kind, metric.value.to_vec()));
                    }
                }
                request
            }
            other => request.attribute(other, attribute.value),
        };
    }
    if let Some(to) = change.to {
        metrics.push((number(change.metric), to.to_ne_bytes().to_vec()));
    }
    // With an object and no metrics at all the kernel finds the old route with its metrics and keeps them
    // (`fib_find_info_nh`, net/ipv4/fib_semantics.c). An empty attribute removes them.
    if metrics.is_empty() && !by_object {
        return Ok(request);
    }
    Ok(request.nest(libc::RTA_METRICS, |nested| {
        metrics
            .iter()
            .fold(nested, |nested, (kind, value)| nested.attribute(*kind, value))
    }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Message;
    use crate::rtnetlink::metrics::{RTAX_LOCK, RTAX_MTU};
    use crate::rtnetlink::route;
    use crate::rtnetlink::route_row::read;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const RTAX_CWND: u16 = 7;

    fn mtu(to: Option<u32>) -> MetricChange {
        MetricChange {
            metric: Metric::Mtu,
            was: Some(1500),
            to,
        }
    }

    fn read_as(payload: &[u8], name: &dyn Fn(u32) -> String) -> Result<Option<Row>, Malformed> {
        let message = message(payload);
        let header = route::header(&message)?;
        header.map(|header| read(&message, &header, name)).transpose()
    }

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
        let row = read_as(&payload, &|_| "eth0".into()).unwrap().unwrap();
        assert_eq!(row.key.to_string(), "0.0.0.0/0");
        assert_eq!(
            (row.metrics.values[&Metric::Mtu], &*row.rest),
            (1500, "via 169.254.1.1 proto 4 onlink cwnd 10")
        );
        let sent = replacement(&payload, &mtu(Some(1460))).unwrap().body().to_vec();
        let again = read_as(&sent, &|_| "eth0".into()).unwrap().unwrap();
        assert_eq!(
            (again.metrics.values[&Metric::Mtu], &*again.indices),
            (1460, &[3][..])
        );
        assert_eq!(again.rest, row.rest);
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
        let named = |payload: &[u8]| read_as(payload, &|index| format!("eth{index}")).unwrap().unwrap();
        let row = named(&payload);
        assert_eq!(row.key.to_string(), "0.0.0.0/0 metric 7 table 1000");
        assert_eq!(
            (&*row.indices, row.metrics.is_locked(Metric::Mtu)),
            (&[3, 4][..], true)
        );
        let rest = "nexthop via 10.0.0.1 dev eth3 onlink nexthop via 10.0.1.1 dev eth4";
        assert_eq!(&*row.rest, rest);
        let sent = replacement(&payload, &mtu(Some(1460))).unwrap().body().to_vec();
        let again = named(&sent);
        assert_eq!(
            (again.metrics.values[&Metric::Mtu], again.key, &*again.rest),
            (1460, row.key, rest)
        );
        // That a next hop's interface is down (RTNH_F_LINKDOWN, 16) is not sent.
        assert!(sent.windows(4).any(|bytes| bytes == [16, 0, 4, 0]));
    }

    #[test]
    fn a_metric_comes_to_a_route_without_any_and_goes_again() {
        let fixed = [2, 8, 0, 0, 254, 3, 0, libc::RTN_UNICAST, 0, 0, 0, 0];
        let bare = Request::new(libc::RTM_NEWROUTE, 0, &fixed).attribute(libc::RTA_DST, &[10, 0, 0, 0]);
        let bare = bare.body().to_vec();
        let change = MetricChange {
            metric: Metric::Advmss,
            was: None,
            to: Some(1360),
        };
        let with = replacement(&bare, &change).unwrap().body().to_vec();
        let row = read_as(&with, &|_| "eth0".into()).unwrap().unwrap();
        assert_eq!(row.metrics.values, BTreeMap::from([(Metric::Advmss, 1360)]));
        let back = MetricChange {
            was: Some(1360),
            to: None,
            ..change
        };
        assert_eq!(replacement(&with, &back).unwrap().body(), bare);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = read_as(&payload, &|_| "eth0".into());
            let _ = replacement(&payload, &mtu(Some(1460)));
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
            let _ = read_as(request.body(), &|_| "eth0".into());
            let _ = replacement(request.body(), &mtu(None));
        }
    }
}
