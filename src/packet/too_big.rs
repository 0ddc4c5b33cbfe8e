//! ICMP "packet too big" as it comes off the wire: from any bytes to what the packet says, or to the
//! reason why it says nothing that should reach a peer. Nothing in here can panic.

use crate::address::Address;

/// An ICMP error that says "packet too big": IPv4 type 3 code 4 (RFC 1191), ICMPv6 type 2 code 0
/// (RFC 4443). Lengths, checksums and the quoted packet's header were found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Bytes of the IP packet; link-layer padding may follow it.
    pub length: usize,
    /// It came by IPv6.
    pub ipv6: bool,
    /// Who reports it: a router on the path, or whoever pretends to be one.
    pub source: Address,
    /// Whom it was sent to.
    pub(crate) destination: Address,
    /// The next-hop MTU in bytes.
    pub mtu: u32,
    /// Whose packet was too big.
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
    /// The first four bytes of the transport header: both ports of TCP, UDP, SCTP and DCCP, and
    /// what else tells flows of a protocol apart (the SPI of ESP).
    pub ports: u32,
}
