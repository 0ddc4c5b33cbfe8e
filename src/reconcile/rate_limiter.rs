//! Rates and pauses: some at once, then one each so often; pauses that grow.

use std::time::Duration;

use crate::event::Now;

/// A bucket of tokens.
#[derive(Debug)]
pub struct RateLimiter {
    at_once: u32,
    every: Duration,
    tokens: u32,
    /// When the tokens were counted last.
    counted: Now,
}

impl RateLimiter {
    pub(crate) fn new(at_once: u32, every: Duration) -> Self {
        RateLimiter {
            at_once,
            every,
            tokens: at_once,
            counted: Now::ZERO,
        }
    }

    /// Whether one may pass.
    pub fn ready(&mut self, now: Now) -> bool {
        while self.tokens < self.at_once && self.counted + self.every <= now {
            self.tokens += 1;
            self.counted += self.every;
        }
        if self.tokens == self.at_once {
            self.counted = now;
        }
        self.tokens > 0
    }

    /// One passes.
    pub fn take(&mut self, now: Now) {
        if self.tokens == self.at_once {
            self.counted = now;
        }
        self.tokens = self.tokens.saturating_sub(1);
    }

    /// One more may pass, whatever the rate.
    pub(crate) fn grant(&mut self) {
        self.tokens = self.tokens.max(1);
    }

    /// When one may pass.
    pub(crate) fn opens(&self) -> Now {
        if self.tokens > 0 {
            Now::ZERO
        } else {
            self.counted + self.every
        }
    }
}

/// A pause that doubles with each time, up to a longest one.
pub(crate) fn growing(first: Duration, times: u32, longest: Duration) -> Duration {
    first
        .saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX))
        .min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_pass_at_once_and_then_one_each_so_often() {
        let mut gate = RateLimiter::new(2, Duration::from_millis(10));
        let mut passed = 0;
        for millis in 1000..1100 {
            let now = Duration::from_millis(millis);
            if gate.ready(now) {
                gate.take(now);
                passed += 1;
            }
        }
        assert_eq!(passed, 11);
        gate.grant();
        assert_eq!(gate.opens(), Now::ZERO);
    }
}
