//! Valid "packet too big" errors for tests and measurements, built from the RFCs without the code that
//! reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The fields of an error.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// The router.
    pub source: IpAddr,
    /// The sender of the packet that was too big, to which the error is sent.
    pub vip: IpAddr,
    /// The destination of that packet.
    pub client: IpAddr,
    /// Protocol of the quoted packet: 6 is TCP, 17 is UDP.
    pub protocol: u8,
    /// Ports of the quoted packet, source and destination.
    pub ports: (u16, u16),
    /// The next-hop MTU.
    pub mtu: u16,
    /// TTL or hop limit of the error.
    pub ttl: u8,
    /// Bytes of the quoted packet after its IP header, at least 8.
    pub quoted: usize,
}

impl Sample {
    /// An IPv4 error with documentation addresses.
    pub fn ipv4() -> Self {
        Sample {
            source: Ipv4Addr::new(198, 51, 100, 1).into(),
            vip: Ipv4Addr::new(192, 0, 2, 10).into(),
            client: Ipv4Addr::new(203, 0, 113, 7).into(),
            protocol: 6,
            ports: (443, 40_000),
            mtu: 1400,
            ttl: 60,
            quoted: 528,
        }
    }

    /// An IPv6 error with documentation addresses.
    pub fn ipv6() -> Self {
        let address = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into();
        Sample {
            source: address(0x99),
            vip: address(0x10),
            client: address(0x7),
            protocol: 6,
            ports: (443, 40_000),
            mtu: 1400,
            ttl: 60,
            quoted: 1192,
        }
    }

    /// The packet, from its IP header on.
    pub fn bytes(&self) -> Vec<u8> {
        let mut segment = vec![0; self.quoted.max(8)];
        segment[..2].copy_from_slice(&self.ports.0.to_be_bytes());
        segment[2..4].copy_from_slice(&self.ports.1.to_be_bytes());
        match (self.source, self.vip, self.client) {
            (IpAddr::V4(source), IpAddr::V4(vip), IpAddr::V4(client)) => {
                let mut message = vec![3, 4, 0, 0, 0, 0];
                message.extend(self.mtu.to_be_bytes());
                let mut quote = ipv4(vip, client, self.protocol, 59, 1480);
                quote.extend(segment);
                message.extend(quote);
                let sum = checksum(&message);
                message[2..4].copy_from_slice(&sum.to_be_bytes());
                let mut packet = ipv4(source, vip, 1, self.ttl, message.len());
                packet.extend(message);
                packet
            }
            (IpAddr::V6(source), IpAddr::V6(vip), IpAddr::V6(client)) => {
                let mut message = vec![2, 0, 0, 0, 0, 0];
                message.extend(self.mtu.to_be_bytes());
                message.extend(ipv6(vip, client, self.protocol, 59, 1460));
                message.extend(segment);
                let mut covered = [source.octets(), vip.octets()].concat();
                covered.extend((message.len() as u32).to_be_bytes());
                covered.extend([0, 0, 0, 58]);
                covered.extend(&message);
                let sum = checksum(&covered);
                message[2..4].copy_from_slice(&sum.to_be_bytes());
                let mut packet = ipv6(source, vip, 58, self.ttl, message.len());
                packet.extend(message);
                packet
            }
            _ => panic!("addresses of two families"),
        }
    }
}

pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, ttl: u8, payload: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + payload as u16).to_be_bytes());
    header.extend([0x12, 0x34, 0x40, 0, ttl, protocol, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

pub(crate) fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, limit: u8, payload: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((payload as u16).to_be_bytes());
    header.extend([next, limit]);
    header.extend(from.octets());
    header.extend(to.octets());
    header
}

/// The Internet checksum, word by word (RFC 1071).
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
