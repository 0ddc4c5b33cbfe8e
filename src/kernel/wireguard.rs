//! When a WireGuard interface last shook hands with a peer, over generic netlink. The answer holds
//! keys: nothing but the time is taken from it, and it is wiped.

use nix::errno::Errno;

use crate::ioctl;
use crate::live::snapshot::Live;
use crate::netlink::message::{Attributes, Malformed, Message, Request};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_host::wireguard::handshake::Handshake;

/// `struct genlmsghdr`, bytes: command, version and two of padding (include/uapi/linux/genetlink.h).
const FIXED: usize = 4;

/// WireGuard's (include/uapi/linux/wireguard.h).
const WG_CMD_GET_DEVICE: u8 = 0;

const WGDEVICE_A_IFNAME: u16 = 2;

const WGDEVICE_A_PEERS: u16 = 8;

const WGPEER_A_LAST_HANDSHAKE_TIME: u16 = 6;

impl Live {
    /// Asks for the latest handshake of an interface with any of its peers.
    ///
    /// # Errors
    /// The error of the kernel: the request takes CAP_NET_ADMIN.
    pub fn last_handshake(&self, name: LinkName) -> Result<Handshake, Error> {
        if let Err(Errno::ENODEV) = ioctl::index_of(self.raw(), name) {
            return Ok(Handshake::NoLink);
        }
        let mut socket = Socket::open_generic()?;
        let asked = ask(&mut socket, name);
        socket.wipe();
        match asked {
            Ok(last) => Ok(Handshake::Last(last)),
            Err(refusal) => match refusal.errno {
                Errno::ENODEV => Ok(Handshake::NoLink),
                // No such family: a kernel without WireGuard.
                Errno::EOPNOTSUPP | Errno::ENOENT => Ok(Handshake::NotWireguard),
                _ => Err(refusal.into()),
            },
        }
    }
}

fn ask(socket: &mut Socket, name: LinkName) -> Result<Option<u64>, Refusal> {
    let family = family(socket)?;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    let request =
        Request::new(family, flags, &[WG_CMD_GET_DEVICE, 1, 0, 0]).attribute(WGDEVICE_A_IFNAME, &bytes);
    let mut last = None;
    socket.exchange(request, |message| {
        last = last.max(latest(&message)?);
        Ok(())
    })?;
    Ok(last)
}

/// The number that the family has on this kernel.
fn family(socket: &mut Socket) -> Result<u16, Refusal> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let request = Request::new(
        libc::GENL_ID_CTRL as u16,
        flags,
        &[libc::CTRL_CMD_GETFAMILY as u8, 1, 0, 0],
    )
    .text(libc::CTRL_ATTR_FAMILY_NAME as u16, "wireguard");
    let mut found = None;
    socket.exchange(request, |message| {
        for attribute in Attributes::after(message.payload, FIXED)? {
            let attribute = attribute?;
            if attribute.kind == libc::CTRL_ATTR_FAMILY_ID as u16 {
                found = attribute.value.first_chunk().copied().map(u16::from_ne_bytes);
            }
        }
        Ok(())
    })?;
    found.ok_or(Errno::ENOENT.into())
}

/// The latest handshake of the peers of a message, seconds since 1970. A device with many peers comes
/// in several messages.
fn latest(message: &Message<'_>) -> Result<Option<u64>, Malformed> {
    let mut last = None;
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        if attribute.kind != WGDEVICE_A_PEERS {
            continue;
        }
        for peer in attribute.nested() {
            for field in peer?.nested() {
                let field = field?;
                if field.kind == WGPEER_A_LAST_HANDSHAKE_TIME {
                    // struct __kernel_timespec; all zero where there was none.
                    let seconds = field.value.first_chunk().ok_or(Malformed("time"))?;
                    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).ok();
                    last = last.max(seconds.filter(|seconds| *seconds > 0));
                }
            }
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WGDEVICE_A_PRIVATE_KEY: u16 = 3;

    const WGPEER_A_PUBLIC_KEY: u16 = 1;

    fn read(payload: &[u8]) -> Result<Option<u64>, Malformed> {
        latest(&Message {
            kind: 30,
            flags: 0,
            sequence: 1,
            payload,
        })
    }

    #[test]
    fn the_latest_of_all_peers_counts() {
        let time = |seconds: i64| [seconds.to_ne_bytes(), [0; 8]].concat();
        let device = |peers: &[i64]| {
            let mut request = Request::new(30, 0, &[0, 1, 0, 0])
                .attribute(WGDEVICE_A_PRIVATE_KEY, &[7; 32])
                .nest(WGDEVICE_A_PEERS, |all| {
                    peers.iter().fold(all, |all, seconds| {
                        all.nest(0, |peer| {
                            peer.attribute(WGPEER_A_PUBLIC_KEY, &[9; 32])
                                .attribute(WGPEER_A_LAST_HANDSHAKE_TIME, &time(*seconds))
                        })
                    })
                });
            request.finish(1)[16..].to_vec()
        };
        assert_eq!(read(&device(&[5, 1_800_000_000, 0])), Ok(Some(1_800_000_000)));
        assert_eq!(read(&device(&[0])), Ok(None));
        assert_eq!(read(&device(&[])), Ok(None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = read(&payload);
        }
    }
}
