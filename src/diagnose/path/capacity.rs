//! The largest packet that passes in one direction, and the black hole if there is one.

use schemars::JsonSchema;
use serde::Serialize;

use crate::path::hop::{Above, Cause, Limit};

/// The largest packet that passes in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Capacity {
    /// Bytes of the largest packet with don't-fragment that passes; none if no device on the way has a known
    /// MTU.
    pub largest: Option<u32>,
    /// Bytes of the largest packet that passes without being fragmented on the way.
    pub whole: Option<u32>,
    /// The number is exact for this host. Otherwise it is an upper bound, or missing.
    pub certain: bool,
    /// The hop that limits, by its place in `hops`; none where no packet leaves its sender.
    pub limited_by: Option<usize>,
    /// The treatment of larger packets at that hop.
    pub above: Option<Above>,
    /// The sizes that vanish without an answer to the sender.
    pub black_hole: Option<BlackHole>,
}

/// Sizes that vanish without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BlackHole {
    /// The smallest such packet, bytes.
    pub from: u32,
    /// The largest one that may come there, bytes; none where every packet is lost and no limit is known.
    pub to: Option<u32>,
    /// The hop that drops them, by its place in `hops`.
    pub at: usize,
    /// Why it drops them.
    pub cause: Cause,
    /// It is certain. Otherwise a driver decides.
    pub certain: bool,
}

/// A limit with the place of its hop.
pub(crate) type Placed = (usize, Limit);

/// Follows a packet from limit to limit. `known` is false when a hop of the way is not known.
pub(crate) fn capacity(limits: &[Placed], known: bool) -> Capacity {
    let mut found = Capacity {
        largest: None,
        whole: None,
        certain: known,
        limited_by: None,
        above: None,
        black_hole: None,
    };
    // The largest piece on the wire after a tunnel fragmented its outer packet, with the depth of that packet.
    let mut piece: Option<(u32, u8)> = None;
    for (at, limit) in limits {
        if piece.is_some_and(|(_, depth)| limit.depth < depth) {
            piece = None;
        }
        let arrives = found.largest.unwrap_or(u32::MAX);
        let on_the_wire = piece.map_or(arrives, |(piece, _)| piece.min(arrives));
        if limit.bytes >= on_the_wire {
            continue;
        }
        match limit.above {
            Above::Fragmented => {
                piece = Some((limit.bytes, limit.depth));
                found.whole = Some(limit.bytes);
                continue;
            }
            Above::Refused | Above::NotSent(_) | Above::PacketTooBig | Above::Assumed => {}
            Above::Dropped(cause) | Above::MayBeDropped(cause) => {
                let certain = matches!(limit.above, Above::Dropped(_));
                found.certain &= certain;
                // Where nothing is known of the senders, they may send no packet that is too large.
                if found.largest.is_some() || limit.bytes == 0 {
                    let hole = BlackHole {
                        from: limit.bytes.saturating_add(1),
                        to: found.largest,
                        at: *at,
                        cause,
                        certain,
                    };
                    // A sender that begins with large packets meets only the first hole. One that loses
                    // every packet is met by all.
                    match limit.bytes {
                        0 => found.black_hole = Some(hole),
                        _ => drop(found.black_hole.get_or_insert(hole)),
                    }
                }
            }
        }
        found.largest = Some(limit.bytes);
        found.limited_by = Some(*at);
        found.above = Some(limit.above);
    }
    found.whole = match (found.whole, found.largest) {
        (Some(whole), Some(largest)) => Some(whole.min(largest)),
        (_, largest) => largest,
    };
    found.certain &= found.largest.is_some();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(bytes: u32, above: Above, depth: u8) -> Placed {
        (usize::from(depth), Limit { bytes, above, depth })
    }

    #[test]
    fn a_drop_below_what_the_sender_was_told_is_a_black_hole() {
        let found = capacity(
            &[
                limit(1500, Above::Refused, 0),
                limit(1464, Above::Dropped(Cause::VethEnd), 0),
                limit(1400, Above::PacketTooBig, 0),
            ],
            true,
        );
        let hole = found.black_hole.unwrap();
        assert_eq!((hole.from, hole.to), (1465, Some(1500)));
        assert_eq!((found.largest, found.certain), (Some(1400), true));
    }

    #[test]
    fn a_drop_above_what_the_sender_was_told_is_none() {
        let found = capacity(
            &[
                limit(1400, Above::Refused, 0),
                limit(1404, Above::Dropped(Cause::VethEnd), 0),
            ],
            true,
        );
        assert_eq!((found.black_hole, found.largest), (None, Some(1400)));
    }

    #[test]
    fn fragments_pass_a_limit_that_their_packet_would_not() {
        let fragments = [
            limit(1450, Above::PacketTooBig, 0),
            limit(1350, Above::Fragmented, 1),
            limit(1354, Above::Dropped(Cause::VethEnd), 1),
        ];
        let found = capacity(&fragments, true);
        assert_eq!((found.largest, found.whole), (Some(1450), Some(1350)));
        assert_eq!(found.black_hole, None);
        // Inside again, the whole packet counts.
        let mut inside = fragments.to_vec();
        inside.push(limit(1404, Above::Dropped(Cause::VethEnd), 0));
        assert_eq!(capacity(&inside, true).largest, Some(1404));
        // Fragments that are still too large are lost.
        let lost = [
            fragments[0],
            fragments[1],
            limit(1304, Above::Dropped(Cause::VethEnd), 1),
        ];
        assert_eq!(capacity(&lost, true).largest, Some(1304));
    }

    #[test]
    fn what_a_driver_decides_is_not_certain() {
        let found = capacity(
            &[
                limit(1500, Above::Refused, 0),
                limit(1400, Above::MayBeDropped(Cause::LowerDevice), 0),
            ],
            true,
        );
        assert!(!found.certain && !found.black_hole.unwrap().certain);
        assert_eq!(capacity(&[], false).largest, None);
        let both = [
            limit(1500, Above::Refused, 0),
            limit(1454, Above::Dropped(Cause::VethEnd), 0),
            limit(0, Above::Dropped(Cause::RpFilter), 0),
        ];
        let hole = capacity(&both, true).black_hole.unwrap();
        assert_eq!((hole.from, hole.to, hole.cause), (1, Some(1454), Cause::RpFilter));
        let unknown_senders = [limit(1404, Above::Dropped(Cause::VethEnd), 0)];
        assert_eq!(capacity(&unknown_senders, false).black_hole, None);
        let nothing = [limit(0, Above::Dropped(Cause::ForwardingOff), 0)];
        assert_eq!(capacity(&nothing, true).black_hole.unwrap().to, None);
    }
}
