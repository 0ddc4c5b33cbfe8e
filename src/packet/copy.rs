//! What a replica has that the original has not: a lower TTL, and the checksum that goes with it.
//! All other bytes stay.

use crate::checksum::mend;

/// The least TTL or hop limit of a replica. The peer's kernel takes one off when it forwards to the
/// pod, and the pod must get it with 1 at least.
const LEAST_TTL: u8 = 2;

/// Sets the TTL or hop limit: to `ttl`, or without one to one less than it came with, and to
/// [`LEAST_TTL`] at least. Bytes that are no IP header stay as they are.
pub fn age(packet: &mut [u8], ttl: Option<u8>) {
    let aged = |old: u8| ttl.unwrap_or(old.saturating_sub(1)).max(LEAST_TTL);
    match packet.first().map(|first| first >> 4) {
        Some(4) => {
            if let Some([old, protocol, high, low]) = packet.get_mut(8..12) {
                let new = aged(*old);
                let word = |ttl| u16::from_be_bytes([ttl, *protocol]);
                let mended = mend(u16::from_be_bytes([*high, *low]), word(*old), word(new));
                [*high, *low] = mended.to_be_bytes();
                *old = new;
            }
        }
        // The pseudo header of ICMPv6 has no hop limit.
        Some(6) => {
            if let Some(limit) = packet.get_mut(7) {
                *limit = aged(*limit);
            }
        }
        _ => {}
    }
}
