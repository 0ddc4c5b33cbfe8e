//! The path MTUs that the kernel learned from ICMP errors: exceptions of its routes, by rtnetlink. Reading looks up
//! no route, so no counter and no exception changes.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::RouteMessage;
use nix::sys::utsname::uname;

use crate::counters::not_read::NotRead;
use crate::netlink::message::{Attributes, Malformed, Message, u32_at};
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::links::address;
use netkeel_host::counters::reading::{PathMtu, PathMtus, Reading};

/// `struct rtmsg`, bytes (include/uapi/linux/rtnetlink.h).
const FIXED: usize = 12;

/// Only exceptions are wanted, and the message is of one (include/uapi/linux/rtnetlink.h).
const RTM_F_CLONED: u32 = 0x200;

/// Attributes of a route, and of its metrics (include/uapi/linux/rtnetlink.h).
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_METRICS: u16 = 8;
const RTA_CACHEINFO: u16 = 12;
const RTAX_LOCK: u16 = 1;
const RTAX_MTU: u16 = 2;

/// The first kernel that lists exceptions of IPv4 over netlink, and no other routes with them.
const SINCE: (u32, u32) = (5, 3);

/// Ticks of the clock that the kernel shows to programs, a second (USER_HZ).
const TICKS: i32 = 100;

/// Seconds within which one is about to be forgotten.
const SOON: i32 = 60;

/// Counts them.
pub(super) fn read(reading: &mut Reading) -> Result<(), NotRead> {
    let release = uname().map_err(NotRead::failed)?;
    let release = release.release().to_string_lossy();
    if version(&release).is_none_or(|version| version < SINCE) {
        return Err(NotRead::failed(format!(
            "Linux {release} does not list them: that needs {}.{}",
            SINCE.0, SINCE.1
        )));
    }
    let mut socket = Socket::open()?;
    let mut found = PathMtus::default();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut wanted = RouteMessage::default();
        wanted.header.address_family = family;
        wanted.header.flags = netlink_packet_route::route::RouteFlags::Cloned;
        let mut one_dump = PathMtus::default();
        let request = crate::netlink::message::Request::of(libc::RTM_GETROUTE, libc::NLM_F_DUMP, &wanted);
        let done = socket.exchange(request, |message| {
            if let Some((path, expires)) = one(&message, reading)? {
                add(&mut one_dump, path, expires);
            }
            Ok(())
        });
        match done {
            Ok(_) => {}
            // A kernel without IPv6 has no routes of it.
            Err(refusal)
                if family == AddressFamily::Inet6 && refusal.errno == nix::errno::Errno::EOPNOTSUPP => {}
            Err(refusal) => return Err(refusal.into()),
        }
        found.learned += one_dump.learned;
        found.tiny += one_dump.tiny;
        found.locked += one_dump.locked;
        found.expiring += one_dump.expiring;
        found.smallest = found.smallest.into_iter().chain(one_dump.smallest).min();
    }
    reading.path_mtus = Some(found);
    Ok(())
}

fn add(found: &mut PathMtus, path: PathMtu, expires: i32) {
    let least = match path.destination {
        IpAddr::V4(_) => 576,
        IpAddr::V6(_) => 1280,
    };
    found.learned += 1;
    found.tiny += u64::from(path.mtu < least);
    found.locked += u64::from(path.locked);
    found.expiring += u64::from(expires < SOON * TICKS);
    found.smallest = found.smallest.take().into_iter().chain([path]).min();
}

/// A learned path MTU, and the ticks until it is forgotten. None for a route that is no exception, for one without
/// an MTU or without an end, and for one that ended.
fn one(message: &Message<'_>, reading: &Reading) -> Result<Option<(PathMtu, i32)>, Malformed> {
    const WHAT: Malformed = Malformed("route");
    let flags = u32_at(message.payload, 8).ok_or(WHAT)?;
    if message.kind != libc::RTM_NEWROUTE || flags & RTM_F_CLONED == 0 {
        return Ok(None);
    }
    let (mut destination, mut link, mut mtu, mut lock, mut expires) = (None, None, None, 0, 0);
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            RTA_DST => destination = address(attribute.value),
            RTA_OIF => link = reading.by_index(attribute.u32()?).map(|(name, _)| name),
            RTA_METRICS => {
                for metric in attribute.nested() {
                    let metric = metric?;
                    match metric.kind {
                        RTAX_LOCK => lock = metric.u32()?,
                        RTAX_MTU => mtu = Some(metric.u32()?),
                        _ => {}
                    }
                }
            }
            RTA_CACHEINFO => expires = u32_at(attribute.value, 8).ok_or(WHAT)?.cast_signed(),
            _ => {}
        }
    }
    let (Some(destination), Some(mtu), 1..) = (destination, mtu, expires) else {
        return Ok(None);
    };
    let path = PathMtu {
        mtu,
        destination,
        link,
        locked: lock & (1 << RTAX_MTU) != 0,
    };
    Ok(Some((path, expires)))
}

/// `6.12.31-talos` is (6, 12).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|char: char| !char.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;

    fn route(flags: u32, mtu: u32, lock: u32, expires: i32) -> Option<(PathMtu, i32)> {
        let mut head = [0; FIXED];
        head[8..12].copy_from_slice(&flags.to_ne_bytes());
        let mut info = [0; 28];
        info[8..12].copy_from_slice(&expires.to_ne_bytes());
        let bytes = Request::new(libc::RTM_NEWROUTE, 0, &head)
            .attribute(RTA_DST, &[192, 0, 2, 9])
            .nest(RTA_METRICS, |metrics| {
                metrics
                    .attribute(RTAX_LOCK, &lock.to_ne_bytes())
                    .attribute(RTAX_MTU, &mtu.to_ne_bytes())
            })
            .attribute(RTA_CACHEINFO, &info)
            .finish(1)
            .to_vec();
        let message = Message {
            kind: libc::RTM_NEWROUTE,
            flags: 0,
            sequence: 1,
            payload: &bytes[16..],
        };
        one(&message, &Reading::default()).unwrap()
    }

    #[test]
    fn counts_exceptions_that_have_not_ended() {
        let (path, expires) = route(RTM_F_CLONED, 552, 1 << RTAX_MTU, 59_000).unwrap();
        assert!(path.locked && path.mtu == 552 && expires == 59_000);
        assert_eq!(route(0, 552, 0, 59_000), None);
        assert_eq!(route(RTM_F_CLONED, 552, 0, -1), None);
        let mut found = PathMtus::default();
        add(&mut found, path.clone(), expires);
        let (larger, expires) = route(RTM_F_CLONED, 1400, 0, 500).unwrap();
        add(&mut found, larger, expires);
        let counts = (found.learned, found.tiny, found.locked, found.expiring);
        assert_eq!((counts, found.smallest), ((2, 1, 1, 1), Some(path)));
    }

    #[test]
    fn the_version_is_in_the_release() {
        assert_eq!(version("6.12.31-talos"), Some((6, 12)));
        assert_eq!(version("5.2-rc1"), Some((5, 2)));
        assert_eq!(version("unknown"), None);
    }
}
