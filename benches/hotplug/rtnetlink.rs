//! As much of rtnetlink as the bare listener and the observer need.

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::sys::socket::{setsockopt, sockopt};

use crate::attributes::{Attributes, half, word};
use netkeel_core::error::{Error, ErrorKind};

/// RTNLGRP_LINK and RTNLGRP_IPV4_NETCONF.
pub const LINK: u32 = 1;

pub const NETCONF: u32 = 24;

/// A message, as far as it matters here.
#[derive(Debug, Default)]
pub struct Told {
    pub index: u32,
    pub name: String,
    pub mtu: Option<u32>,
    pub rp_filter: Option<u32>,
}

/// A socket of the calling thread's namespace that hears these groups.
pub fn listen(groups: &[u32]) -> Result<Socket, Error> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Refused, format!("netlink: {error}"));
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20));
    for group in groups {
        socket.add_membership(*group).map_err(failed)?;
    }
    Ok(socket)
}

/// Reads RTM_NEWLINK and RTM_NEWNETCONF.
pub fn read(mut bytes: &[u8], mut each: impl FnMut(Told)) {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let length = length as usize;
        let message = bytes.get(16..length).unwrap_or_default();
        match kind {
            libc::RTM_NEWLINK => each(link(message)),
            libc::RTM_NEWNETCONF => each(netconf(message)),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn link(message: &[u8]) -> Told {
    let mut told = Told {
        index: word(message, 4).unwrap_or_default(),
        ..Told::default()
    };
    for (kind, value) in Attributes(message.get(16..).unwrap_or_default()) {
        match kind {
            libc::IFLA_IFNAME => {
                told.name = String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned();
            }
            libc::IFLA_MTU => told.mtu = word(value, 0),
            libc::IFLA_AF_SPEC => {
                for (_, family) in Attributes(value).filter(|(kind, _)| i32::from(*kind) == libc::AF_INET) {
                    for (_, conf) in Attributes(family).filter(|(kind, _)| *kind == 1) {
                        told.rp_filter = word(conf, 7 * 4);
                    }
                }
            }
            _ => {}
        }
    }
    told
}

fn netconf(message: &[u8]) -> Told {
    let mut told = Told::default();
    for (kind, value) in Attributes(message.get(4..).unwrap_or_default()) {
        match kind {
            1 => told.index = word(value, 0).unwrap_or_default(),
            3 => told.rp_filter = word(value, 0),
            _ => {}
        }
    }
    told
}

/// RTM_NEWLINK that sets the MTU of an interface, without an acknowledgement.
pub fn set_mtu(index: u32, mtu: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend_from_slice(&40u32.to_ne_bytes());
    bytes.extend_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
    bytes.extend_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes.extend_from_slice(&[0; 8 + 4]);
    bytes.extend_from_slice(&index.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&8u16.to_ne_bytes());
    bytes.extend_from_slice(&libc::IFLA_MTU.to_ne_bytes());
    bytes.extend_from_slice(&mtu.to_ne_bytes());
    bytes
}
