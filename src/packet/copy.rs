//! Turns a packet into a replica: decrements the TTL and updates the checksum. All other bytes stay.

use crate::checksum::update;

/// The minimum TTL or hop limit of a replica. The peer's kernel decrements it on the way to the pod,
/// where at least 1 must arrive.
const LEAST_TTL: u8 = 2;

/// Sets the TTL or hop limit to `ttl`; without one, to the packet's own less one. The result is at
/// least `LEAST_TTL`. Bytes that are not an IP header are not changed.
pub fn decrement_ttl(packet: &mut [u8], ttl: Option<u8>) {
    let aged = |old: u8| ttl.unwrap_or(old.saturating_sub(1)).max(LEAST_TTL);
    match packet.first().map(|first| first >> 4) {
        Some(4) => {
            if let Some([old, protocol, high, low]) = packet.get_mut(8..12) {
                let new = aged(*old);
                let word = |ttl| u16::from_be_bytes([ttl, *protocol]);
                let updated = update(u16::from_be_bytes([*high, *low]), word(*old), word(new));
                [*high, *low] = updated.to_be_bytes();
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
