//! Token buckets: a hashed table of small ones, and one for all copies.

use std::time::Duration;

use netkeel_core::replication::limits::Rate;

/// Buckets in a table; a power of two. Further sources share buckets.
const BUCKETS: usize = 1 << 14;

/// A fixed number of buckets, found by hash. Each holds the tokens taken and not yet refilled, and the
/// time of its last update in milliseconds. An unused bucket is full and all zeros, so the allocator's
/// zeroed pages stay unused until the first write.
#[derive(Debug)]
pub struct Buckets(Box<[(f32, u32)]>);

impl Default for Buckets {
    fn default() -> Self {
        Buckets(vec![(0.0, 0); BUCKETS].into())
    }
}

/// The part of a rate that applies at present, 0 to 1 each.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The part of the rate per second.
    pub pace: f32,
    /// The part of the burst.
    pub burst: f32,
}

impl Buckets {
    fn bucket(&mut self, hash: u64) -> Option<&mut (f32, u32)> {
        self.0.get_mut(hash as usize % BUCKETS)
    }

    /// Whether a bucket has a token left.
    pub fn has(&mut self, hash: u64, rate: Rate, share: Share, now: u32) -> bool {
        let Some((taken, at)) = self.bucket(hash) else {
            return false;
        };
        let seconds = now.wrapping_sub(*at) as f32 / 1_000.0;
        *taken = (*taken - seconds * rate.per_second as f32 * share.pace).max(0.0);
        *at = now;
        *taken + 1.0 <= (rate.burst as f32 * share.burst).max(1.0)
    }

    /// The fraction of a bucket that is left, 0 to 1; call it after [`Buckets::has`].
    pub fn left(&mut self, hash: u64, rate: Rate) -> f32 {
        let taken = self.bucket(hash).map_or(0.0, |(taken, _)| *taken);
        (1.0 - taken / rate.burst.max(1) as f32).max(0.0)
    }

    /// Takes a token, if there is one. A bucket never goes below empty.
    pub fn take(&mut self, hash: u64, rate: Rate) {
        if let Some((taken, _)) = self.bucket(hash) {
            *taken = (*taken + 1.0).min(rate.burst.max(1) as f32);
        }
    }
}

/// The bucket for all copies.
#[derive(Debug, Default)]
pub struct Total {
    taken: f64,
    at: Duration,
    burst: f64,
}

impl Total {
    /// The fraction that is left, 0 to 1.
    pub fn left(&mut self, rate: Rate, copies: u32, now: Duration) -> f32 {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.taken = (self.taken - seconds * f64::from(rate.per_second)).max(0.0);
        self.at = now;
        // A burst smaller than the copies of one packet would never let a packet pass.
        self.burst = f64::from(rate.burst).max(4.0 * f64::from(copies));
        (1.0 - self.taken / self.burst).max(0.0) as f32
    }

    /// Takes tokens for the copies of one packet, if enough are left. Only a regular source may use the
    /// lower half.
    pub fn take(&mut self, copies: u32, regular: bool) -> bool {
        let after = self.taken + f64::from(copies);
        let most = if regular { self.burst } else { self.burst / 2.0 };
        let may = after <= most;
        if may {
            self.taken = after;
        }
        may
    }
}
