//! ICMP "packet too big" as parsed from the wire. Parsing gives the packet's fields, or the reason to
//! reject it. It never panics.

use crate::address::Address;

/// An ICMP error "packet too big": IPv4 type 3 code 4 (RFC 1191), ICMPv6 type 2 code 0 (RFC 4443). Its
/// lengths, checksums and quoted header are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Bytes of the IP packet; link-layer padding may follow.
    pub length: usize,
    /// Whether it is an IPv6 packet.
    pub ipv6: bool,
    /// The sender: a router on the path, or an attacker who forges its address.
    pub source: Address,
    /// The destination.
    pub(crate) destination: Address,
    /// The next-hop MTU in bytes.
    pub mtu: u32,
    /// The flow of the packet that was too big.
    pub quoted: Flow,
}

/// The flow of the quoted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Its source.
    pub source: Address,
    /// Its destination.
    pub(crate) destination: Address,
    /// The transport protocol.
    pub protocol: u8,
    /// The first four bytes of the transport header: both ports of TCP, UDP, SCTP and DCCP, or other
    /// fields that distinguish flows (the SPI of ESP).
    pub ports: u32,
}
