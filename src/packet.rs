//! ICMP "packet too big" as it comes off the wire: from any bytes to what the packet says, or to the
//! reason why it says nothing that should reach a peer. Nothing in here can panic.

mod address;
pub mod checksum;
mod ipv4;
mod ipv6;
mod refusal;
pub mod replica;
mod rules;

pub use address::{Address, Addresses, Network, Networks};
pub use refusal::{Refusal, Refused};
pub use rules::{Arrival, Floor, Rules};

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
    pub destination: Address,
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
    pub destination: Address,
    /// The transport protocol.
    pub protocol: u8,
    /// The first four bytes of the transport header: both ports of TCP, UDP, SCTP and DCCP, and
    /// what else tells flows of a protocol apart (the SPI of ESP).
    pub ports: u32,
}

/// Reads a packet from its IP header on.
///
/// # Errors
/// Why it is no sound "packet too big".
pub fn read(bytes: &[u8]) -> Result<TooBig, Refusal> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => ipv4::read(bytes),
        Some(6) => ipv6::read(bytes),
        Some(_) => Err(Refusal::NotIp),
        None => Err(Refusal::Truncated),
    }
}

/// The 16-bit number in network order at an offset.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The 32-bit number in network order at an offset.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub mod sample;
#[cfg(test)]
mod tests;
