//! The clocks: wall-clock time for people, boot time for durations.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// Seconds since 1970. Only to be shown: the wall clock may jump.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Time since the host booted, suspend included (CLOCK_BOOTTIME). Nobody can set this clock, so a deadline
/// in it is neither missed nor early.
pub fn since_boot() -> Duration {
    // It fails on a kernel without the clock only, and Linux has it since 2.6.39.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
