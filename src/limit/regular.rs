//! Which sources are heard regularly: a count-min sketch of what came lately, so that a million
//! sources that come once each are told from one that keeps coming, in 256 KiB.

use std::time::Duration;

/// Counters in a row; a power of two, found by 16 bits of the hash.
const COLUMNS: usize = 1 << 16;

/// Where in a hash the column of each row is found.
const ROWS: [u32; 4] = [0, 16, 32, 48];

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
            counters: vec![0; COLUMNS * ROWS.len()].into(),
            second: 0,
            used: false,
        }
    }
}

impl Regular {
    /// Counts a source and says whether it is regular.
    pub(super) fn hear(&mut self, hash: u64, now: Duration) -> bool {
        self.forget(now.as_secs());
        self.used = true;
        let least = self.cells(hash).map(|cell| *cell).min().unwrap_or(0);
        // Only the least counters are right; raising the others would add to the noise.
        for cell in self.cells(hash).filter(|cell| **cell == least) {
            *cell = cell.saturating_add(1);
        }
        least >= REGULAR
    }

    fn cells(&mut self, hash: u64) -> impl Iterator<Item = &mut u8> {
        let rows = self.counters.chunks_exact_mut(COLUMNS).zip(ROWS);
        rows.filter_map(move |(row, shift)| row.get_mut((hash >> shift) as usize % COLUMNS))
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
            self.counters.iter_mut().for_each(|count| *count >>= times);
        }
    }
}
