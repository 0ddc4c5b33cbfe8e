//! The batch size of NFLOG: single packets at low rates for low latency, dozens under load for low
//! cost.

use std::time::{Duration, Instant};

/// Packets per message under load. A packet costs 0.25 µs to receive in batches of 64, and 1.9 µs
/// alone. An incomplete batch is sent after a hundredth of a second.
const MANY: u32 = 64;

/// The window over which rates are measured.
const WINDOW: Duration = Duration::from_millis(50);

/// Packets in a window at which batches begin: 2,000 a second.
const BEGIN: u32 = 100;

/// Packets in a window at which batches end: 500 a second.
const END: u32 = 25;

/// Buffer of a message in bytes, for one packet or for a batch. The kernel allocates all of it for each
/// message.
const SMALL: u32 = 4096;

const LARGE: u32 = 128 * 1024;

/// Decides the batch size from the packet rate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    many: bool,
    window: Option<Instant>,
    packets: u32,
}

impl Pace {
    /// Maximum packets per message.
    pub fn threshold(self) -> u32 {
        if self.many { MANY } else { 1 }
    }

    /// Maximum bytes per message.
    pub fn buffer(self) -> u32 {
        if self.many { LARGE } else { SMALL }
    }

    /// Counts packets, or 0 when only time passed. Returns whether the batch size changes.
    pub fn count(&mut self, packets: u32, now: Instant) -> bool {
        let begin = *self.window.get_or_insert(now);
        self.packets = self.packets.saturating_add(packets);
        let full = now.saturating_duration_since(begin) >= WINDOW;
        let before = self.many;
        if !self.many && self.packets >= BEGIN {
            self.many = true;
        } else if self.many && full && self.packets <= END {
            self.many = false;
        }
        if full || self.many != before {
            self.window = Some(now);
            self.packets = 0;
        }
        self.many != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_under_load_only() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut pace = Pace::default();
        // A hundred packets a second, one by one.
        for tick in 0..100 {
            assert!(!pace.count(1, at(tick * 10)), "tick {tick}");
        }
        assert_eq!(pace.threshold(), 1);
        // Five thousand packets a second.
        let change = (0..100).find(|tick| pace.count(5, at(1_000 + tick)));
        assert!(change.is_some_and(|tick| tick <= 50), "{change:?}");
        let change = 1_000 + change.unwrap_or(0);
        assert_eq!((pace.threshold(), pace.buffer()), (64, 128 * 1024));
        // A thousand packets a second are between the two thresholds.
        assert!((0..100).all(|tick| !pace.count(10, at(change + tick * 10))));
        // No packets.
        assert!(pace.count(0, at(3_000)) || pace.count(0, at(3_060)));
        assert_eq!(pace.threshold(), 1);
    }
}
