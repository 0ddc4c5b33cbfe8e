//! Which sources are heard regularly: a count-min sketch of what came lately, so that a million
//! sources that come once each are told from one that keeps coming, in 256 KiB.

use std::time::Duration;

/// Counters in a row; a power of two, found by 16 bits of the hash.
const COLUMNS: usize = 1 << 16;

/// Rows, each with the next 16 bits of the hash.
const ROWS: usize = 4;

/// From this count on a source is regular. Counts are halved every second: ten a second come to
/// 10 to 20, while a flood of 100,000 a second from as many sources puts 2 or 3 into each counter.
const REGULAR: u8 = 8;

/// The sketch.
#[derive(Debug)]
pub(super) struct Regular {
    /// Row by row.
    counters: Box<[u8]>,
    /// When counts were last halved, in whole seconds.
    second: u64,
    /// Something was counted since the counters were last all zero.
    used: bool,
}

impl Default for Regular {
    fn default() -> Self {
        Regular {
            counters: vec![0; COLUMNS * ROWS].into(),
            second: 0,
            used: false,
        }
    }
}

impl Regular {
    /// The counters of a source.
    fn counters(&mut self, hash: u64) -> Option<[&mut u8; ROWS]> {
        let ([a, b, c, d], _) = self.counters.as_chunks_mut::<COLUMNS>() else {
            return None;
        };
        let [first, second, third, fourth] = columns(hash);
        Some([
            a.get_mut(first)?,
            b.get_mut(second)?,
            c.get_mut(third)?,
            d.get_mut(fourth)?,
        ])
    }

    /// Reads the counters of a source, which brings them near.
    pub(super) fn peek(&self, hash: u64) -> u8 {
        let ([a, b, c, d], _) = self.counters.as_chunks::<COLUMNS>() else {
            return 0;
        };
        let [first, second, third, fourth] = columns(hash);
        let read = |row: &[u8; COLUMNS], column: usize| row.get(column).copied().unwrap_or(0);
        read(a, first) ^ read(b, second) ^ read(c, third) ^ read(d, fourth)
    }

    /// Counts a source and says whether it is regular.
    pub(super) fn hear(&mut self, hash: u64, now: Duration) -> bool {
        self.forget(now.as_secs());
        self.used = true;
        let Some([a, b, c, d]) = self.counters(hash) else {
            return false;
        };
        let least = *(&*a).min(b).min((&*c).min(d));
        // Only the least counters are right; raising the others would add to the noise.
        let raise = |counter: &mut u8| *counter = counter.saturating_add(u8::from(*counter == least));
        raise(a);
        raise(b);
        raise(c);
        raise(d);
        least >= REGULAR
    }

    /// Halves all counts once for every second that went by.
    fn forget(&mut self, second: u64) {
        let times = second.saturating_sub(self.second);
        self.second = self.second.max(second);
        if times == 0 || !self.used {
            return;
        }
        if times >= u8::BITS.into() {
            self.counters.fill(0);
            self.used = false;
        } else {
            // Eight at once: what falls out of one into the next is no part of that.
            let kept = u64::from_ne_bytes([u8::MAX >> times; 8]);
            let (words, _) = self.counters.as_chunks_mut::<8>();
            for word in words {
                *word = (u64::from_ne_bytes(*word) >> times & kept).to_ne_bytes();
            }
        }
    }
}

/// Where the counters of a source are in the rows.
fn columns(hash: u64) -> [usize; ROWS] {
    let column = |row: u32| (hash >> (16 * row)) as usize % COLUMNS;
    [column(0), column(1), column(2), column(3)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_each_count_is_halved() {
        let count = |place: usize| (place % 251) as u8;
        for seconds in 1..=9 {
            let mut regular = Regular {
                used: true,
                ..Regular::default()
            };
            for (place, counter) in regular.counters.iter_mut().enumerate() {
                *counter = count(place);
            }
            regular.forget(seconds);
            for (place, counter) in regular.counters.iter().enumerate() {
                let halved = u32::from(count(place)) >> seconds;
                assert_eq!(u32::from(*counter), halved, "{place} after {seconds} seconds");
            }
        }
    }
}
