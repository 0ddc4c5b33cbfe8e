//! The bare dump: what a program costs that asks the kernel once for all interfaces and reads the
//! two values that are compared, without knowing what for.

use std::fmt;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::attributes::{Attributes, half, word};
use netkeel_core::error::{Error, ErrorKind};

/// What is asked of the counters of each interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters {
    /// They are left out (RTEXT_FILTER_SKIP_STATS): the cheapest dump that has what is needed, and
    /// so the floor.
    Skipped,
    /// They come along, as in the dump that `ip link` does and that most programs do.
    Included,
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Counters::Skipped => "without-counters",
            Counters::Included => "with-counters",
        })
    }
}

/// Asks, reads the MTU and the rp_filter of each interface, and exits.
pub fn dump(counters: &str) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Refused, format!("netlink: {error}"));
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(failed)?;
    let skip = counters == Counters::Skipped.to_string();
    socket.send(&request(skip), 0).map_err(failed)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut read = Sum::default();
    loop {
        let length = socket.recv(&mut &mut *buffer, 0).map_err(failed)?;
        if read.messages(buffer.get(..length).unwrap_or_default()) {
            break;
        }
    }
    // What was read is used, or the compiler would leave out the reading.
    if std::hint::black_box(&read).interfaces == 0 {
        return Err(Error::new(ErrorKind::Unreadable, "the dump held no interface"));
    }
    Ok(())
}

/// `struct nlmsghdr`, `struct ifinfomsg` and, to leave out the counters, IFLA_EXT_MASK.
fn request(skip: bool) -> Vec<u8> {
    let length: u32 = if skip { 40 } else { 32 };
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8 + 16]);
    if skip {
        bytes.extend_from_slice(&8u16.to_ne_bytes());
        bytes.extend_from_slice(&libc::IFLA_EXT_MASK.to_ne_bytes());
        bytes.extend_from_slice(&libc::RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    }
    bytes
}

/// What was read, summed up.
#[derive(Debug, Default)]
struct Sum {
    interfaces: u64,
    mtu: u64,
    rp_filter: i64,
}

impl Sum {
    /// Reads the messages of one receive; true when the dump is at its end.
    fn messages(&mut self, mut bytes: &[u8]) -> bool {
        while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
            if i32::from(kind) == libc::NLMSG_DONE || i32::from(kind) == libc::NLMSG_ERROR {
                return true;
            }
            let length = length as usize;
            self.interfaces += 1;
            for (kind, value) in Attributes(bytes.get(32..length).unwrap_or_default()) {
                match kind {
                    libc::IFLA_MTU => self.mtu += u64::from(word(value, 0).unwrap_or(0)),
                    libc::IFLA_AF_SPEC => self.families(value),
                    _ => {}
                }
            }
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        false
    }

    fn families(&mut self, families: &[u8]) {
        for (_, family) in Attributes(families).filter(|(kind, _)| i32::from(*kind) == libc::AF_INET) {
            // IFLA_INET_CONF is 1, and IPV4_DEVCONF_RP_FILTER is the eighth of its numbers.
            for (_, conf) in Attributes(family).filter(|(kind, _)| *kind == 1) {
                self.rp_filter += i64::from(word(conf, 7 * 4).unwrap_or(0).cast_signed());
            }
        }
    }
}
