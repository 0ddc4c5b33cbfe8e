//! How many packets NFLOG gathers before it wakes the worker: each at once while few come, which is
//! quick, and dozens under load, which is cheap.

use std::time::{Duration, Instant};

/// Packets a message while many come. With 64 a packet costs 0.25 µs to receive, with 1 it costs
/// 1.9; what is not full goes after a hundredth of a second.
const MANY: u32 = 64;

/// Rates are taken over so long.
const WINDOW: Duration = Duration::from_millis(50);

/// So many packets in a window are many: 2,000 a second.
const BEGIN: u32 = 100;

/// So few are few again: 500 a second.
const END: u32 = 25;

/// Buffer of a message in bytes, for one packet or for many. The kernel allocates it whole for each
/// message.
const SMALL: u32 = 4096;

const LARGE: u32 = 128 * 1024;

/// Decides by what comes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    many: bool,
    window: Option<Instant>,
    packets: u32,
}

impl Pace {
    /// Packets a message at most.
    pub fn threshold(self) -> u32 {
        if self.many { MANY } else { 1 }
    }

    /// Bytes a message at most.
    pub fn buffer(self) -> u32 {
        if self.many { LARGE } else { SMALL }
    }

    /// Counts packets, none when only time went by, and says whether the pace changes.
    pub fn heard(&mut self, packets: u32, now: Instant) -> bool {
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
        // A hundred a second, one by one.
        for tick in 0..100 {
            assert!(!pace.heard(1, at(tick * 10)), "tick {tick}");
        }
        assert_eq!(pace.threshold(), 1);
        // Five thousand a second.
        let change = (0..100).find(|tick| pace.heard(5, at(1_000 + tick)));
        assert!(change.is_some_and(|tick| tick <= 50), "{change:?}");
        let change = 1_000 + change.unwrap_or(0);
        assert_eq!((pace.threshold(), pace.buffer()), (64, 128 * 1024));
        // A thousand a second are neither few nor many.
        assert!((0..100).all(|tick| !pace.heard(10, at(change + tick * 10))));
        // Silence.
        assert!(pace.heard(0, at(3_000)) || pace.heard(0, at(3_060)));
        assert_eq!(pace.threshold(), 1);
    }
}
