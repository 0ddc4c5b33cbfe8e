//! Messages that a packet was too big, sent from any address, and a reader of an NFLOG group.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;

/// A message that a packet was too big, with the header of that packet in it.
pub struct Message {
    pub from: IpAddr,
    pub to: IpAddr,
    pub mtu: u16,
    /// Type and code, where they are to be others.
    pub icmp: Option<(u8, u8)>,
}

impl Message {
    /// Puts it on the wire, in the calling thread's namespace.
    pub fn send(&self) {
        let bytes = self.bytes();
        let raw = |family| {
            let (kind, flags) = (SockType::Raw, SockFlag::empty());
            socket(family, kind, flags, SockProtocol::Raw).unwrap()
        };
        let sent = match self.to {
            IpAddr::V4(to) => {
                let socket = raw(AddressFamily::Inet);
                let to = SockaddrIn::from(std::net::SocketAddrV4::new(to, 0));
                sendto(socket.as_raw_fd(), &bytes, &to, MsgFlags::empty())
            }
            IpAddr::V6(to) => {
                let socket = raw(AddressFamily::Inet6);
                let to = SockaddrIn6::from(std::net::SocketAddrV6::new(to, 0, 0, 0));
                sendto(socket.as_raw_fd(), &bytes, &to, MsgFlags::empty())
            }
        };
        assert_eq!(sent, Ok(bytes.len()));
    }

    fn bytes(&self) -> Vec<u8> {
        let mtu = self.mtu.to_be_bytes();
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let (kind, code) = self.icmp.unwrap_or((3, 4));
                let mut quoted = header(to, Ipv4Addr::new(198, 51, 100, 9), 6, 1480);
                quoted.extend_from_slice(&[0x1f, 0x90, 0x30, 0x39, 0, 0, 0, 1]);
                let mut icmp = vec![kind, code, 0, 0, 0, 0, mtu[0], mtu[1]];
                icmp.extend_from_slice(&quoted);
                let sum = checksum(&icmp);
                icmp[2..4].copy_from_slice(&sum.to_be_bytes());
                let mut packet = header(from, to, 1, icmp.len() as u16);
                packet.extend_from_slice(&icmp);
                packet
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let (kind, code) = self.icmp.unwrap_or((2, 0));
                let mut icmp = vec![kind, code, 0, 0, 0, 0, mtu[0], mtu[1]];
                icmp.extend_from_slice(&header6(to, "2001:db8:9::9".parse().unwrap(), 6, 1440));
                icmp.extend_from_slice(&[0x1f, 0x90, 0x30, 0x39, 0, 0, 0, 1]);
                let mut pseudo = [from.octets(), to.octets()].concat();
                pseudo.extend_from_slice(&(icmp.len() as u32).to_be_bytes());
                pseudo.extend_from_slice(&[0, 0, 0, 58]);
                pseudo.extend_from_slice(&icmp);
                let sum = checksum(&pseudo);
                icmp[2..4].copy_from_slice(&sum.to_be_bytes());
                let mut packet = header6(from, to, 58, icmp.len() as u16);
                packet.extend_from_slice(&icmp);
                packet
            }
            _ => panic!("one family"),
        }
    }
}

fn header(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: u16) -> Vec<u8> {
    let length = (payload + 20).to_be_bytes();
    let mut bytes = vec![0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    bytes.extend_from_slice(&from.octets());
    bytes.extend_from_slice(&to.octets());
    let sum = checksum(&bytes);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn header6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, payload: u16) -> Vec<u8> {
    let length = payload.to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 64];
    bytes.extend_from_slice(&from.octets());
    bytes.extend_from_slice(&to.octets());
    bytes
}

fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Reads an NFLOG group of the namespace in which it was opened.
pub struct Reader {
    socket: Socket,
}

/// NFULNL_MSG_CONFIG of NFNL_SUBSYS_ULOG.
const CONFIG: u16 = 4 << 8 | 1;

impl Reader {
    pub fn bind(group: u16) -> Self {
        let mut socket = Socket::new(NETLINK_NETFILTER).unwrap();
        socket.bind_auto().unwrap();
        socket.connect(&SocketAddr::new(0, 0)).unwrap();
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 100_000)).unwrap();
        let reader = Reader { socket };
        // Bind; copy packets up to 65535 bytes; hand over each at once.
        reader.configure(group, 1, &[1]);
        reader.configure(group, 2, &[0, 0, 0xff, 0xff, 2, 0]);
        reader.configure(group, 5, &1u32.to_be_bytes());
        reader
    }

    fn configure(&self, group: u16, attribute: u16, value: &[u8]) {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&CONFIG.to_ne_bytes());
        bytes.extend_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&group.to_be_bytes());
        bytes.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        bytes.extend_from_slice(&attribute.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.socket.send(&bytes, 0).unwrap();
        let (answer, _) = self.socket.recv_from_full().unwrap();
        let error = i32::from_ne_bytes(answer[16..20].try_into().unwrap());
        assert_eq!(
            error, 0,
            "the kernel refuses attribute {attribute} of group {group}"
        );
    }

    /// The sources and next-hop MTUs of the packets that come within a time, or until there are so
    /// many.
    pub fn read(&self, number: usize, patience: Duration) -> Vec<(IpAddr, u16)> {
        let end = Instant::now() + patience;
        let mut seen = Vec::new();
        while seen.len() < number && Instant::now() < end {
            if let Ok((bytes, _)) = self.socket.recv_from_full() {
                seen.extend(packets(&bytes));
            }
        }
        seen.sort();
        seen
    }
}

/// The packets in one receive, which may be of several messages: NFULA_PAYLOAD of each.
fn packets(bytes: &[u8]) -> Vec<(IpAddr, u16)> {
    const PAYLOAD: u16 = 9;
    let u16_at = |bytes: &[u8], at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().unwrap());
    let mut found = Vec::new();
    let mut rest = bytes;
    while rest.len() > 20 {
        let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
        let mut attributes = &rest[20..length];
        while attributes.len() >= 4 {
            let size = usize::from(u16_at(attributes, 0));
            if u16_at(attributes, 2) & 0x3fff == PAYLOAD {
                found.push(told(&attributes[4..size]));
            }
            attributes = attributes.get(size.next_multiple_of(4)..).unwrap_or_default();
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// Source and next-hop MTU.
fn told(packet: &[u8]) -> (IpAddr, u16) {
    let mtu = |at: usize| u16::from_be_bytes(packet[at..at + 2].try_into().unwrap());
    match packet[0] >> 4 {
        4 => {
            let from: [u8; 4] = packet[12..16].try_into().unwrap();
            (IpAddr::from(from), mtu(26))
        }
        _ => {
            let from: [u8; 16] = packet[8..24].try_into().unwrap();
            (IpAddr::from(from), mtu(46))
        }
    }
}
