//! How long things took, counted in classes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The upper bounds of the classes in microseconds; what is longer is in one more. Ten microseconds
/// are one copy, ten milliseconds a full batch to a hundred peers.
pub const BOUNDS: [u32; 12] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000,
];

/// Counts by class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// How many were at most each of [`BOUNDS`] and longer than the one before; the last is what was
    /// longer than all.
    pub counts: [u64; BOUNDS.len() + 1],
    /// All together, in microseconds.
    pub sum: u64,
}

impl Histogram {
    /// Counts `times` of one length.
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
