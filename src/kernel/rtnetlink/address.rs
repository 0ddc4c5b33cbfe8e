//! Addresses of interfaces over rtnetlink: reading them, giving one, taking one away.

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};

use crate::netlink::message::{Malformed, Message, Request, family};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::{ATTEMPTS, Socket};

/// An address as it was read.
pub(crate) struct Row {
    /// The index of the interface that bears it.
    pub index: u32,
    /// The address.
    pub address: IpNet,
    /// It goes when the first of its subnet goes.
    pub secondary: bool,
}

/// Reads the addresses of a family (AF_INET or AF_INET6) of all interfaces.
pub(crate) fn dump(socket: &mut Socket, family: libc::c_int, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::from(family as u8);
    socket.dump(libc::RTM_GETADDR, &message, |message| read(message, rows))
}

/// Reads the IPv6 addresses of another namespace from outside, by its id here. `None` when there are more
/// than `most`: the rest is not read.
pub(crate) fn dump_of(socket: &mut Socket, namespace: i32, most: usize) -> Result<Option<Vec<Row>>, Refusal> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.attributes = vec![AddressAttribute::TargetNetNsId(namespace)];
    limited(socket, &message, most)
}

/// Reads the addresses of a family in a namespace that a pod controls, from inside. `None` when there are more
/// than `most`: the rest is not read.
pub(crate) fn dump_at_most(
    socket: &mut Socket,
    family: libc::c_int,
    most: usize,
) -> Result<Option<Vec<Row>>, Refusal> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::from(family as u8);
    limited(socket, &message, most)
}

fn limited(socket: &mut Socket, message: &AddressMessage, most: usize) -> Result<Option<Vec<Row>>, Refusal> {
    let (mut rows, mut over) = (Vec::new(), false);
    let read = socket.dump(libc::RTM_GETADDR, message, |message| {
        read(message, &mut rows)?;
        // A torn dump is taken again, so that an address may be there several times.
        over = rows.len() > most.saturating_mul(ATTEMPTS as usize);
        if over { Err(Malformed("dump")) } else { Ok(()) }
    });
    if over {
        return Ok(None);
    }
    read?;
    rows.sort_by_key(|row| (row.index, row.address));
    rows.dedup_by_key(|row| (row.index, row.address));
    Ok((rows.len() <= most).then_some(rows))
}

fn read(message: &Message<'_>, rows: &mut Vec<Row>) -> Result<(), Malformed> {
    const WHAT: Malformed = Malformed("address");
    if message.kind != libc::RTM_NEWADDR {
        return Ok(());
    }
    let message: AddressMessage = message.parse()?;
    let (mut local, mut address) = (None, None);
    for attribute in message.attributes {
        match attribute {
            // On a point-to-point interface IFA_ADDRESS is the other end. IPv6 says IFA_LOCAL only
            // there (`inet6_fill_ifaddr`, net/ipv6/addrconf.c).
            AddressAttribute::Local(ip) => local = Some(ip),
            AddressAttribute::Address(ip) => address = Some(ip),
            _ => {}
        }
    }
    let address = local.or(address).ok_or(WHAT)?;
    rows.push(Row {
        index: message.header.index,
        address: IpNet::new(address, message.header.prefix_len).map_err(|_| WHAT)?,
        // For IPv6 the same bit says IFA_F_TEMPORARY.
        secondary: address.is_ipv4() && message.header.flags.contains(AddressHeaderFlags::Secondary),
    });
    Ok(())
}

/// Gives an address, with the scope that `ip address add` gives it: host for 127.0.0.0/8, else
/// global (`default_scope`, ip/ipaddress.c of iproute2).
pub(crate) fn add(socket: &mut Socket, index: i32, address: IpNet) -> Result<(), Refusal> {
    let mut message = about(index, address);
    if matches!(address, IpNet::V4(net) if net.addr().is_loopback()) {
        message.header.scope = AddressScope::Host;
    }
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    socket.change(Request::of(libc::RTM_NEWADDR, flags, &message))
}

/// Takes an address away.
pub(crate) fn remove(socket: &mut Socket, index: i32, address: IpNet) -> Result<(), Refusal> {
    let message = about(index, address);
    socket.change(Request::of(libc::RTM_DELADDR, libc::NLM_F_ACK, &message))
}

/// IFA_LOCAL says which address; IFA_ADDRESS, the same, makes the kernel compare the prefix length
/// too (`inet_rtm_deladdr`, net/ipv4/devinet.c).
fn about(index: i32, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.addr());
    message.header.prefix_len = address.prefix_len();
    message.header.index = index.cast_unsigned();
    let address = address.addr();
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    message
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
        let message = about(7, address.parse().unwrap());
        Request::of(libc::RTM_NEWADDR, 0, &message).body().to_vec()
    }

    #[test]
    fn an_address_is_read_and_a_cut_one_refused() {
        for address in ["127.0.0.42/32", "fd00::1/64"] {
            let bytes = payload(address);
            let row = rows(&bytes).unwrap().pop().unwrap();
            assert_eq!((row.index, row.address.to_string().as_str()), (7, address));
            assert!(rows(&bytes[..8]).is_err());
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
