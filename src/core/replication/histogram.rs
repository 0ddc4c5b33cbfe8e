//! A histogram of durations.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The upper bounds of the buckets in microseconds; one more bucket holds longer durations. One copy
/// takes about ten microseconds, a full batch to a hundred peers about ten milliseconds.
pub const BOUNDS: [u32; 12] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000,
];

/// Counts per bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The number of durations in each bucket of [`BOUNDS`]. The last bucket holds those above all
    /// bounds.
    pub counts: [u64; BOUNDS.len() + 1],
    /// The sum of all durations in microseconds.
    pub sum: u64,
}

impl Histogram {
    /// Counts a duration `times` times.
    pub fn count(&mut self, length: Duration, times: u64) {
        let microseconds = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS.partition_point(|bound| u64::from(*bound) < microseconds);
        if let Some(count) = self.counts.get_mut(class) {
            *count += times;
        }
        self.sum = self.sum.saturating_add(microseconds.saturating_mul(times));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_at_most() {
        let mut histogram = Histogram::default();
        for microseconds in [0, 10, 11, 100_000, 100_001] {
            histogram.count(Duration::from_micros(microseconds), 2);
        }
        assert_eq!(histogram.counts, [4, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2]);
        assert_eq!(histogram.sum, 2 * 200_022);
    }
}
