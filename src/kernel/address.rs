//! Addresses of interfaces over rtnetlink: reading them, giving one, taking one away.

use std::net::IpAddr;

use ipnet::IpNet;

use super::message::{Attribute, Attributes, Malformed, Message, Request, u32_at};
use super::netlink::{ATTEMPTS, Dump, Socket};
use super::refusal::Refusal;

/// `struct ifaddrmsg`, bytes: family, prefix length, flags, scope, index.
const FIXED: usize = 8;

/// The namespace that a request is about (include/uapi/linux/if_addr.h).
const IFA_TARGET_NETNSID: u16 = 10;

/// In the flags (include/uapi/linux/if_addr.h).
const IFA_F_SECONDARY: u8 = 1;

/// An address as it was read.
pub(super) struct Row {
    /// The index of the interface that bears it.
    pub(super) index: u32,
    /// The address.
    pub(super) address: IpNet,
    /// It goes when the first of its subnet goes.
    pub(super) secondary: bool,
}

/// Reads the addresses of a family (AF_INET or AF_INET6) of all interfaces.
pub(super) fn dump(socket: &mut Socket, family: libc::c_int, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    dump_by(socket, family, &|request| request, rows)
}

/// Reads the IPv6 addresses of another namespace from outside, by its id here.
pub(super) fn dump_of(socket: &mut Socket, namespace: i32, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let about = |request: Request| request.attribute(IFA_TARGET_NETNSID, &namespace.to_ne_bytes());
    dump_by(socket, libc::AF_INET6, &about, rows)
}

fn dump_by(
    socket: &mut Socket,
    family: libc::c_int,
    about: &dyn Fn(Request) -> Request,
    rows: &mut Vec<Row>,
) -> Result<(), Refusal> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let fixed = fixed(family, 0, 0, 0);
    for _ in 0..ATTEMPTS {
        let request = about(Request::new(libc::RTM_GETADDR, flags, &fixed));
        // What a torn dump gave is kept: an address that went away meanwhile was there a moment
        // ago, and a later look finds it gone; one that was skipped would be lost.
        if socket.exchange(request, |message| read(&message, rows))? == Dump::Whole {
            break;
        }
    }
    Ok(())
}

fn read(message: &Message<'_>, rows: &mut Vec<Row>) -> Result<(), Malformed> {
    if message.kind != libc::RTM_NEWADDR {
        return Ok(());
    }
    const WHAT: Malformed = Malformed("address");
    let [_, prefix, flags, _] = *message.payload.first_chunk::<4>().ok_or(WHAT)?;
    let index = u32_at(message.payload, 4).ok_or(WHAT)?;
    let (mut local, mut address) = (None, None);
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            // On a point-to-point interface IFA_ADDRESS is the other end. IPv6 says IFA_LOCAL only
            // there (`inet6_fill_ifaddr`, net/ipv6/addrconf.c).
            libc::IFA_LOCAL => local = ip(attribute),
            libc::IFA_ADDRESS => address = ip(attribute),
            _ => {}
        }
    }
    let address = local.or(address).ok_or(WHAT)?;
    rows.push(Row {
        index,
        address: IpNet::new(address, prefix).map_err(|_| WHAT)?,
        // For IPv6 the same bit says IFA_F_TEMPORARY.
        secondary: address.is_ipv4() && flags & IFA_F_SECONDARY != 0,
    });
    Ok(())
}

fn ip(attribute: Attribute<'_>) -> Option<IpAddr> {
    match attribute.value.len() {
        4 => attribute.value.first_chunk::<4>().map(|bytes| (*bytes).into()),
        16 => attribute.value.first_chunk::<16>().map(|bytes| (*bytes).into()),
        _ => None,
    }
}

fn fixed(family: libc::c_int, prefix: u8, scope: u8, index: i32) -> [u8; FIXED] {
    let [a, b, c, d] = index.to_ne_bytes();
    [family as u8, prefix, 0, scope, a, b, c, d]
}

/// Gives an address, with the scope that `ip address add` gives it: host for 127.0.0.0/8, else
/// global (`default_scope`, ip/ipaddress.c of iproute2).
pub(super) fn add(socket: &mut Socket, index: i32, address: IpNet) -> Result<(), Refusal> {
    let scope = match address.addr() {
        IpAddr::V4(address) if address.is_loopback() => libc::RT_SCOPE_HOST,
        _ => libc::RT_SCOPE_UNIVERSE,
    };
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    socket.change(request(libc::RTM_NEWADDR, flags, scope, index, address))
}

/// Takes an address away.
pub(super) fn remove(socket: &mut Socket, index: i32, address: IpNet) -> Result<(), Refusal> {
    socket.change(request(libc::RTM_DELADDR, 0, 0, index, address))
}

/// IFA_LOCAL says which address; IFA_ADDRESS, the same, makes the kernel compare the prefix length
/// too (`inet_rtm_deladdr`, net/ipv4/devinet.c).
fn request(kind: u16, flags: libc::c_int, scope: u8, index: i32, address: IpNet) -> Request {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
    let with = |family, bytes: &[u8]| {
        let fixed = fixed(family, address.prefix_len(), scope, index);
        Request::new(kind, flags, &fixed)
            .attribute(libc::IFA_LOCAL, bytes)
            .attribute(libc::IFA_ADDRESS, bytes)
    };
    match address.addr() {
        IpAddr::V4(v4) => with(libc::AF_INET, &v4.octets()),
        IpAddr::V6(v6) => with(libc::AF_INET6, &v6.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(payload: &[u8]) -> Result<Vec<Row>, Malformed> {
        let mut rows = Vec::new();
        let message = Message {
            kind: libc::RTM_NEWADDR,
            flags: 0,
            sequence: 1,
            payload,
        };
        read(&message, &mut rows).map(|()| rows)
    }

    fn payload(address: &str) -> Vec<u8> {
        let mut request = request(libc::RTM_NEWADDR, 0, 0, 7, address.parse().unwrap());
        request.finish(1)[16..].to_vec()
    }

    #[test]
    fn an_address_is_read_and_a_cut_one_refused() {
        for address in ["127.0.0.42/32", "fd00::1/64"] {
            let bytes = payload(address);
            let row = rows(&bytes).unwrap().pop().unwrap();
            assert_eq!((row.index, row.address.to_string().as_str()), (7, address));
            assert!(rows(&bytes[..FIXED]).is_err());
            let mut wide = bytes;
            wide[1] = 129;
            assert!(rows(&wide).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = rows(&payload);
        }
    }
}
