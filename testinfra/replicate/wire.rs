//! Sockets of the tests: packets are sent as they are, and frames are captured with the interface
//! they came in by.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, sendto,
    setsockopt, socket, sockopt,
};

use netkeel_core::name::netns::Netns;
use netkeel_kernel::namespace::enter::inside;

/// Sends whole IP packets from a namespace.
pub struct Sender {
    ipv4: OwnedFd,
    ipv6: OwnedFd,
}

impl Sender {
    pub fn new(netns: &Netns) -> Self {
        let open = |family| socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw).unwrap();
        inside(netns, || Sender {
            ipv4: open(AddressFamily::Inet),
            ipv6: open(AddressFamily::Inet6),
        })
        .unwrap()
    }

    /// Sends a packet to where its destination is routed.
    pub fn send(&self, packet: &[u8], to: IpAddr) {
        let socket = if to.is_ipv4() { &self.ipv4 } else { &self.ipv6 };
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        loop {
            match sendto(socket.as_raw_fd(), packet, &to, MsgFlags::empty()) {
                Ok(_) => return,
                Err(Errno::ENOBUFS) => std::thread::yield_now(),
                Err(errno) => panic!("sending to {to}: {errno}"),
            }
        }
    }
}

/// All frames of a namespace.
pub struct Capture(OwnedFd);

/// Which frames a test looks at.
pub type Wanted = Box<dyn Fn(&Frame) -> bool>;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The interface that it came in or went out by.
    pub link: usize,
    /// Destination, source, protocol.
    pub to: [u8; 6],
    pub from: [u8; 6],
    pub protocol: u16,
    /// What it carries.
    pub packet: Vec<u8>,
}

impl Capture {
    pub fn new(netns: &Netns) -> Self {
        inside(netns, || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
            setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).unwrap();
            Capture(socket)
        })
        .unwrap()
    }

    /// What there is now.
    pub fn take(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut buffer = [0; 65_536];
        while let Ok((length, from)) = recvfrom::<LinkAddr>(self.0.as_raw_fd(), &mut buffer) {
            let bytes = &buffer[..length];
            frames.push(Frame {
                link: from.unwrap().ifindex(),
                to: bytes[..6].try_into().unwrap(),
                from: bytes[6..12].try_into().unwrap(),
                protocol: u16::from_be_bytes([bytes[12], bytes[13]]),
                packet: bytes[14..].to_vec(),
            });
        }
        frames
    }

    /// What comes until enough does, or nothing more for so long that nothing will.
    pub fn wait(&self, enough: usize, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        let mut last = Instant::now();
        while frames.len() < enough && last.elapsed() < super::SOON {
            let more: Vec<Frame> = self.take().into_iter().filter(&wanted).collect();
            if more.is_empty() {
                std::thread::sleep(Duration::from_millis(2));
            } else {
                last = Instant::now();
                frames.extend(more);
            }
        }
        frames
    }
}
