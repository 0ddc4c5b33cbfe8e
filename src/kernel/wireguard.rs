//! When a WireGuard interface last shook hands with a peer, and the endpoints of its peers, over generic
//! netlink. The answer holds keys: nothing else is taken from it, and it is wiped.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use crate::ioctl;
use crate::live::snapshot::Live;
use crate::netlink::message::{Attributes, Malformed, Message, Request, u16_at};
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

const WGDEVICE_A_FWMARK: u16 = 7;

const WGPEER_A_ENDPOINT: u16 = 4;

const WGPEER_A_LAST_HANDSHAKE_TIME: u16 = 6;

/// The endpoints of a device's peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peers {
    /// The firewall mark of the packets that the device sends; none if it sets no mark.
    pub mark: Option<u32>,
    /// The endpoints that are known. A peer without one is waited for.
    pub endpoints: BTreeSet<IpAddr>,
}

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
        let mut last = None;
        let asked = ask(&mut socket, name, &mut |message| {
            last = last.max(latest(message)?);
            Ok(())
        });
        socket.wipe();
        match asked {
            Ok(()) => Ok(Handshake::Last(last)),
            Err(refusal) => match refusal.errno {
                Errno::ENODEV => Ok(Handshake::NoLink),
                // No such family: a kernel without WireGuard.
                Errno::EOPNOTSUPP | Errno::ENOENT => Ok(Handshake::NotWireguard),
                _ => Err(refusal.into()),
            },
        }
    }
}

impl Live {
    /// Asks for the endpoints of a device's peers.
    pub(crate) fn wireguard_peers(&self, name: LinkName) -> Result<Peers, Error> {
        let mut socket = Socket::open_generic()?;
        let mut peers = Peers::default();
        let asked = ask(&mut socket, name, &mut |message| endpoints(message, &mut peers));
        socket.wipe();
        asked?;
        Ok(peers)
    }
}

/// Asks for a device. A device with many peers comes in several messages.
fn ask(
    socket: &mut Socket,
    name: LinkName,
    each: &mut dyn FnMut(&Message<'_>) -> Result<(), Malformed>,
) -> Result<(), Refusal> {
    let family = family(socket)?;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    let request =
        Request::new(family, flags, &[WG_CMD_GET_DEVICE, 1, 0, 0]).attribute(WGDEVICE_A_IFNAME, &bytes);
    socket.exchange(request, |message| each(&message))?;
    Ok(())
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

/// Adds the endpoints in a message.
fn endpoints(message: &Message<'_>, peers: &mut Peers) -> Result<(), Malformed> {
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            WGDEVICE_A_FWMARK => peers.mark = Some(attribute.u32()?).filter(|mark| *mark != 0),
            WGDEVICE_A_PEERS => {
                for peer in attribute.nested() {
                    for field in peer?.nested() {
                        let field = field?;
                        if field.kind == WGPEER_A_ENDPOINT {
                            peers.endpoints.extend(address(field.value));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The address in a `struct sockaddr_in` or `sockaddr_in6`; none of a link-local address, which is
/// only valid with its interface.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let family = u16_at(bytes, 0)?;
    match libc::c_int::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(Ipv4Addr::from(octets).into())
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            let address = Ipv6Addr::from(octets);
            (!address.is_unicast_link_local()).then(|| address.into())
        }
        _ => None,
    }
}

/// The latest handshake of the peers of a message, seconds since 1970.
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

    #[test]
    fn the_endpoints_of_all_peers_and_the_mark_are_read() {
        let of_ipv4 = [&2_u16.to_ne_bytes()[..], &[0xca, 0x6c, 192, 0, 2, 7], &[0; 8]].concat();
        let of_ipv6 = |last: u8| {
            let family = 10_u16.to_ne_bytes();
            let begin = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            [&family[..], &[0xca, 0x6c, 0, 0, 0, 0], &begin, &[last], &[0; 4]].concat()
        };
        let mut request = Request::new(30, 0, &[0, 1, 0, 0])
            .attribute(WGDEVICE_A_FWMARK, &51820_u32.to_ne_bytes())
            .nest(WGDEVICE_A_PEERS, |all| {
                let all = all.nest(0, |peer| peer.attribute(WGPEER_A_ENDPOINT, &of_ipv4));
                let all = all.nest(0, |peer| peer.attribute(WGPEER_A_PUBLIC_KEY, &[9; 32]));
                all.nest(0, |peer| peer.attribute(WGPEER_A_ENDPOINT, &of_ipv6(8)))
            });
        let payload = request.finish(1)[16..].to_vec();
        let message = Message {
            kind: 30,
            flags: 0,
            sequence: 1,
            payload: &payload,
        };
        let mut peers = Peers::default();
        endpoints(&message, &mut peers).unwrap();
        assert_eq!(peers.mark, Some(51820));
        let texts: Vec<String> = peers.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["192.0.2.7", "2001:db8::8"]);
        assert_eq!(address(&of_ipv4[..6]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..96)) {
            let _ = read(&payload);
            let _ = address(&payload);
        }
    }
}
