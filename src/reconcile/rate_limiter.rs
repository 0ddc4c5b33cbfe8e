//! Rate limits with a burst, and pauses that grow.

use std::time::Duration;

use crate::event::Now;

/// A token bucket.
#[derive(Debug)]
pub struct RateLimiter {
    at_once: u32,
    every: Duration,
    tokens: u32,
    /// The time at which tokens were last added.
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

    /// Whether a token is available.
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

    /// Takes a token.
    pub fn take(&mut self, now: Now) {
        if self.tokens == self.at_once {
            self.counted = now;
        }
        self.tokens = self.tokens.saturating_sub(1);
    }

    /// Adds a token regardless of the rate.
    pub(crate) fn grant(&mut self) {
        self.tokens = self.tokens.max(1);
    }

    /// The time at which a token becomes available.
    pub(crate) fn opens(&self) -> Now {
        if self.tokens > 0 {
            Now::ZERO
        } else {
            self.counted + self.every
        }
    }
}

/// A pause that doubles each time, up to `longest`.
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
