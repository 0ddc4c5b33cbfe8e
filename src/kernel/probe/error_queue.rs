//! The error queue of a socket: ICMP errors about its packets, and refusals of this host's interface
//! (ip(7), IP_RECVERR).

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

/// Origins of an error (include/uapi/linux/errqueue.h).
const LOCAL: u8 = 1;

const ICMP: u8 = 2;

const ICMP6: u8 = 3;

/// A report of the queue on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// This host's interface takes at most so many bytes.
    TooBigHere(u32),
    /// Somebody reports that the packet is too big, with an MTU that may be 0.
    TooBig(IpAddr, u32),
    /// The TTL ended at this router.
    Expired(IpAddr),
    /// The packet was not delivered.
    Undelivered(IpAddr, &'static str),
}

/// A fault, and the quoted packet from its transport header on (for UDP from its data on).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub fault: Fault,
    pub quoted: Vec<u8>,
}

/// Takes the next entry, without waiting; `None` when the queue is empty. Entries of no interest are skipped.
pub(super) fn next(socket: &OwnedFd) -> Option<Entry> {
    loop {
        let mut bytes = [0; 64];
        let mut space = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6, libc::c_int);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags).ok()?;
        let faults: Vec<Fault> = received.cmsgs().ok()?.filter_map(fault).collect();
        let length = received.bytes;
        if let Some(fault) = faults.first() {
            return Some(Entry {
                fault: *fault,
                quoted: bytes.get(..length).unwrap_or_default().to_vec(),
            });
        }
    }
}

fn fault(message: ControlMessageOwned) -> Option<Fault> {
    let (error, from) = match message {
        ControlMessageOwned::Ipv4RecvErr(error, from) => {
            let from = from.map(|from| Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)).into());
            (error, from)
        }
        ControlMessageOwned::Ipv6RecvErr(error, from) => {
            let from = from.map(|from| Ipv6Addr::from(from.sin6_addr.s6_addr).into());
            (error, from)
        }
        _ => return None,
    };
    let from: Option<IpAddr> = from;
    match error.ee_origin {
        LOCAL if error.ee_errno.cast_signed() == libc::EMSGSIZE => Some(Fault::TooBigHere(error.ee_info)),
        ICMP => of_icmp(error.ee_type, error.ee_code, error.ee_info, from?),
        ICMP6 => of_icmp6(error.ee_type, error.ee_code, error.ee_info, from?),
        _ => None,
    }
}

/// ICMP (RFC 792, RFC 1812).
fn of_icmp(kind: u8, code: u8, mtu: u32, from: IpAddr) -> Option<Fault> {
    match (kind, code) {
        (3, 4) => Some(Fault::TooBig(from, mtu)),
        (11, 0) => Some(Fault::Expired(from)),
        (3, code) => Some(Fault::Undelivered(
            from,
            match code {
                0 => "network unreachable",
                1 => "host unreachable",
                2 => "protocol unreachable",
                3 => "port unreachable",
                9 | 10 | 13 => "administratively prohibited",
                _ => "destination unreachable",
            },
        )),
        _ => None,
    }
}

/// ICMPv6 (RFC 4443). The code of "packet too big" is ignored.
fn of_icmp6(kind: u8, code: u8, mtu: u32, from: IpAddr) -> Option<Fault> {
    match (kind, code) {
        (2, _) => Some(Fault::TooBig(from, mtu)),
        (3, 0) => Some(Fault::Expired(from)),
        (4, 1) => Some(Fault::Undelivered(from, "unrecognized next header")),
        (1, code) => Some(Fault::Undelivered(
            from,
            match code {
                0 => "no route to the destination",
                1 => "administratively prohibited",
                3 => "address unreachable",
                4 => "port unreachable",
                5 => "source address failed a policy",
                6 => "route rejects the destination",
                _ => "destination unreachable",
            },
        )),
        _ => None,
    }
}
