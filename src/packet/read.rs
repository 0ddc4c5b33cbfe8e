//! Reads a packet: IPv4 or IPv6.

use crate::too_big::TooBig;
use crate::{ipv4, ipv6};
use netkeel_core::replication::refusal::Refusal;

/// Reads a packet from its IP header on.
///
/// # Errors
/// The reason why it is not a valid "packet too big".
pub fn read(bytes: &[u8]) -> Result<TooBig, Refusal> {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => ipv4::read(bytes),
        Some(6) => ipv6::read(bytes),
        Some(_) => Err(Refusal::NotIp),
        None => Err(Refusal::Truncated),
    }
}
