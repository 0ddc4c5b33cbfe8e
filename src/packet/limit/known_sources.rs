//! Regular sources: a bounded table of recent sources and their packet counts. A second table holds pairs
//! of a source and a quoted destination.
//!
//! A million forged sources send once or twice each, while a real router keeps sending. Each set of the
//! table holds four sources. A new source replaces the one with the lowest count. So a forged source
//! replaces another forged source, and the router's count grows.

/// Sets of sources; a power of two. The table takes 768 KiB, however many sources there are.
const SETS: usize = 1 << 14;

/// Sources in a set.
pub const WAYS: usize = 4;

/// From this count on, a source is regular. A count halves every second, so ten packets a second settle
/// at 14 and five at 7.
const REGULAR: f32 = 8.0;

/// The same for a pair: it was heard two seconds ago or less. Linux sends at most one error a second to a
/// destination (`icmp_ratelimit`).
const REGULAR_PAIR: f32 = 0.25;

/// A source in the table. Zeros are a free entry: its count is the lowest of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source {
    /// The upper half of the source's hash; the lower half finds the set.
    fingerprint: u32,
    /// The time of the last packet, in milliseconds.
    at: u32,
    /// Packets counted up to that time, older ones weighted less.
    count: f32,
}

impl Source {
    /// The decayed count at `now`.
    fn count(&self, now: u32) -> f32 {
        let seconds = now.wrapping_sub(self.at) as f32 / 1_000.0;
        self.count * (-seconds).exp2()
    }
}

/// The table of sources.
#[derive(Debug)]
pub struct KnownSources {
    sets: Box<[[Source; WAYS]]>,
    /// The count from which on one is regular.
    regular: f32,
}

impl Default for KnownSources {
    fn default() -> Self {
        KnownSources {
            sets: vec![[Source::default(); WAYS]; SETS].into(),
            regular: REGULAR,
        }
    }
}

impl KnownSources {
    /// A table of pairs of a source and a quoted destination.
    pub fn of_pairs() -> Self {
        KnownSources {
            regular: REGULAR_PAIR,
            ..KnownSources::default()
        }
    }

    /// Counts a packet of a source at `now`, in milliseconds from any fixed point. Returns whether
    /// the source was regular before this packet.
    pub fn count(&mut self, hash: u64, now: u32) -> bool {
        let fingerprint = (hash >> 32) as u32;
        let Some(set) = self.sets.get_mut(hash as usize % SETS) else {
            return false;
        };
        let known = set
            .iter()
            .position(|known| known.fingerprint == fingerprint && known.count > 0.0);
        let place = known.or_else(|| rarest(set, now));
        let Some(place) = place.and_then(|place| set.get_mut(place)) else {
            return false;
        };
        let before = if known.is_some() { place.count(now) } else { 0.0 };
        *place = Source {
            fingerprint,
            at: now,
            count: before + 1.0,
        };
        before >= self.regular
    }
}

/// The index of the source with the lowest count.
fn rarest(set: &[Source], now: u32) -> Option<usize> {
    let counts = set.iter().map(|known| known.count(now)).enumerate();
    counts
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash of a number that spreads over sets and fingerprints.
    fn hash(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_source_is_regular_from_a_rate_on() {
        // Packets a second, and whether the source becomes regular.
        for (rate, regular) in [(1, false), (5, false), (10, true), (1_000, true)] {
            let mut sources = KnownSources::default();
            let heard = (0..20 * rate).map(|packet| sources.count(hash(1), packet * 1_000 / rate));
            assert_eq!(heard.last(), Some(regular), "{rate} a second");
        }
    }

    #[test]
    fn a_pair_is_regular_when_it_is_heard_again_within_two_seconds() {
        for (every, regular) in [(1_000, true), (1_900, true), (4_000, false)] {
            let mut pairs = KnownSources::of_pairs();
            let heard = (0..5).map(|packet| pairs.count(hash(1), packet * every));
            assert_eq!(heard.last(), Some(regular), "every {every} ms");
        }
    }

    #[test]
    fn silence_ends_it() {
        let mut sources = KnownSources::default();
        let burst = (0..100).map(|_| sources.count(hash(1), 0)).last();
        assert_eq!(burst, Some(true));
        assert!(sources.count(hash(1), 3_000));
        assert!(!sources.count(hash(1), 8_000));
    }

    #[test]
    fn the_least_heard_source_is_replaced() {
        let mut sources = KnownSources::default();
        // Five sources of one set.
        let hash = |source: u64| source << 32 | 7;
        for packet in 0..20 {
            for source in 1..=4 {
                sources.count(hash(source), packet * 10);
            }
        }
        for newcomer in 5..1_000 {
            assert!(!sources.count(hash(newcomer), 200));
        }
        let regular = (1..=4).filter(|source| sources.count(hash(*source), 200)).count();
        assert_eq!(regular, 3);
    }
}
