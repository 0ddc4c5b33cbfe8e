//! ICMP "packet too big" as parsed from the wire. Parsing gives the packet's fields, or the reason to
//! reject it. It never panics.

use crate::address::Address;
use crate::bytes::u32_at;

/// An ICMP error "packet too big": IPv4 type 3 code 4 (RFC 1191), ICMPv6 type 2 (RFC 4443). Its lengths,
/// checksums and quoted header are valid.
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
    pub destination: Address,
    /// The transport protocol.
    pub protocol: u8,
    /// The first four bytes of the transport header: both ports of TCP, UDP, SCTP and DCCP, or other
    /// fields that distinguish flows (the SPI of ESP).
    pub ports: u32,
    /// The next four bytes of a TCP segment (its sequence number) or an SCTP packet (its verification
    /// tag), else 0. The sender's kernel accepts an error only if they are right, so a forger who knows
    /// the addresses and ports must still guess them.
    pub guess: u32,
}

/// Protocols whose kernel code checks more of a quote than ports: `tcp_v4_err` the sequence number,
/// `sctp_err_lookup` the verification tag. UDP has nothing to guess; its error handler looks up the ports.
const GUESSED: [u8; 2] = [6, 132];

/// The bytes of a quoted transport header that a forger must guess, else 0.
pub(crate) fn guess(protocol: u8, transport: &[u8]) -> u32 {
    match GUESSED.contains(&protocol) {
        true => u32_at(transport, 4).unwrap_or(0),
        false => 0,
    }
}
