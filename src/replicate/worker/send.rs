//! Sends copies: many with one system call, from the buffer that received the packets.

use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use crate::worker::system;
use crate::worker::system::{Name, SendBatch};
use netkeel_core::error::Error;

/// A packet in the buffer.
#[derive(Clone, Debug)]
pub(crate) struct PacketRange {
    /// The range in the buffer.
    pub place: Range<usize>,
    /// Whether it is an IPv6 packet.
    pub ipv6: bool,
}

/// The target of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A frame to a link-layer address.
    Station {
        /// The outgoing interface.
        link: u32,
        /// The link-layer address.
        station: [u8; 6],
    },
    /// Encapsulated, to an address.
    Tunnel(IpAddr),
}

/// A socket and its destinations for IPv4 and IPv6 packets. A destination has a number that identifies
/// its peer.
pub(crate) struct SendQueue {
    open: fn() -> Result<OwnedFd, Error>,
    socket: Option<OwnedFd>,
    names: [Vec<(Name, usize)>; 2],
}

/// All sockets for sending copies; each is opened on first use and stays open.
pub(crate) struct Sender {
    frames: SendQueue,
    /// IPv4 in IPv4.
    ipip: SendQueue,
    /// IPv4 in IPv6.
    ipip6: SendQueue,
    /// IPv6 in IPv6.
    ip6ip6: SendQueue,
    /// The number of copies per packet of each family.
    copies: [u32; 2],
    outgoing: SendBatch,
}

/// IPv4 and IPv6 as protocols of a link layer.
const LINK_PROTOCOLS: [u16; 2] = [0x0800, 0x86dd];

impl Default for Sender {
    fn default() -> Self {
        let lane = |open| SendQueue {
            open,
            socket: None,
            names: [Vec::new(), Vec::new()],
        };
        Sender {
            frames: lane(system::packet_socket),
            ipip: lane(|| system::tunnel_socket(libc::AF_INET, libc::IPPROTO_IPIP)),
            ipip6: lane(|| system::tunnel_socket(libc::AF_INET6, libc::IPPROTO_IPIP)),
            ip6ip6: lane(|| system::tunnel_socket(libc::AF_INET6, libc::IPPROTO_IPV6)),
            copies: [0; 2],
            outgoing: SendBatch::default(),
        }
    }
}

impl Sender {
    fn lanes(&mut self) -> [&mut SendQueue; 4] {
        [
            &mut self.frames,
            &mut self.ipip,
            &mut self.ipip6,
            &mut self.ip6ip6,
        ]
    }

    /// Sets the targets, each with the number that identifies its peer.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub(crate) fn aim(&mut self, targets: &[(Target, usize)]) -> Result<(), Error> {
        for lane in self.lanes() {
            lane.names.iter_mut().for_each(Vec::clear);
        }
        for (target, owner) in targets {
            match *target {
                Target::Station { link, station } => {
                    for (names, protocol) in self.frames.names.iter_mut().zip(LINK_PROTOCOLS) {
                        names.push((Name::station(link, station, protocol), *owner));
                    }
                }
                Target::Tunnel(IpAddr::V4(address)) => {
                    let [ipv4, _] = &mut self.ipip.names;
                    ipv4.push((Name::ipv4(address), *owner));
                }
                Target::Tunnel(IpAddr::V6(address)) => {
                    let [ipv4, _] = &mut self.ipip6.names;
                    ipv4.push((Name::ipv6(address), *owner));
                    let [_, ipv6] = &mut self.ip6ip6.names;
                    ipv6.push((Name::ipv6(address), *owner));
                }
            }
        }
        self.copies = [0; 2];
        let Sender {
            frames,
            ipip,
            ipip6,
            ip6ip6,
            copies,
            ..
        } = self;
        for lane in [frames, ipip, ipip6, ip6ip6] {
            for (copies, names) in copies.iter_mut().zip(&lane.names) {
                *copies += names.len() as u32;
            }
            if lane.socket.is_none() && lane.names.iter().any(|names| !names.is_empty()) {
                lane.socket = Some((lane.open)()?);
            }
        }
        Ok(())
    }

    /// The number of copies per packet of a family.
    pub fn copies(&self, ipv6: bool) -> u32 {
        let [of_ipv4, of_ipv6] = self.copies;
        if ipv6 { of_ipv6 } else { of_ipv4 }
    }

    /// Sends each packet to each destination of its family. `count` is called for every copy, with its
    /// peer's number and whether the kernel accepted it.
    pub fn send(&mut self, buffer: &[u8], pieces: &[PacketRange], mut count: impl FnMut(usize, bool)) {
        for lane in [&self.frames, &self.ipip, &self.ipip6, &self.ip6ip6] {
            let Some(socket) = &lane.socket else {
                continue;
            };
            for (family, names) in lane.names.iter().enumerate() {
                let bytes = pieces
                    .iter()
                    .filter(|piece| usize::from(piece.ipv6) == family)
                    .filter_map(|piece| buffer.get(piece.place.clone()));
                self.outgoing.send(socket.as_fd(), bytes, names, &mut count);
            }
        }
    }
}
