//! Token buckets: a hashed table of small ones, and the one for all copies.

use std::time::Duration;

use netkeel_core::replication::limits::Rate;

/// Buckets in a table; a power of two. Sources beyond that many share.
const BUCKETS: usize = 1 << 14;

/// A fixed number of buckets, found by hash. Each counts the tokens that were taken and are not yet
/// paid back, and when it was last looked at, in milliseconds: an untouched one is full, and zeroes,
/// for which the allocator has memory that is not used before it is written.
#[derive(Debug)]
pub struct Buckets(Box<[(f32, u32)]>);

impl Default for Buckets {
    fn default() -> Self {
        Buckets(vec![(0.0, 0); BUCKETS].into())
    }
}

/// How much of a rate counts at present, 0 to 1 each.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Of what there is in a second.
    pub pace: f32,
    /// Of what there is at once.
    pub burst: f32,
}

impl Buckets {
    fn bucket(&mut self, hash: u64) -> Option<&mut (f32, u32)> {
        self.0.get_mut(hash as usize % BUCKETS)
    }

    /// Whether a token is left in a bucket.
    pub fn has(&mut self, hash: u64, rate: Rate, share: Share, now: u32) -> bool {
        let Some((taken, at)) = self.bucket(hash) else {
            return false;
        };
        let seconds = now.wrapping_sub(*at) as f32 / 1_000.0;
        *taken = (*taken - seconds * rate.per_second as f32 * share.pace).max(0.0);
        *at = now;
        *taken + 1.0 <= (rate.burst as f32 * share.burst).max(1.0)
    }

    /// Which part of a bucket that was just looked at is left, 0 to 1.
    pub fn left(&mut self, hash: u64, rate: Rate) -> f32 {
        let taken = self.bucket(hash).map_or(0.0, |(taken, _)| *taken);
        (1.0 - taken / rate.burst.max(1) as f32).max(0.0)
    }

    /// Takes a token, if there is one: what is taken beyond is not paid back later.
    pub fn take(&mut self, hash: u64, rate: Rate) {
        if let Some((taken, _)) = self.bucket(hash) {
            *taken = (*taken + 1.0).min(rate.burst.max(1) as f32);
        }
    }
}

/// The bucket of all copies.
#[derive(Debug, Default)]
pub struct Total {
    taken: f64,
    at: Duration,
    burst: f64,
}

impl Total {
    /// Which part of it is left, 0 to 1.
    pub fn left(&mut self, rate: Rate, copies: u32, now: Duration) -> f32 {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.taken = (self.taken - seconds * f64::from(rate.per_second)).max(0.0);
        self.at = now;
        // A burst that is smaller than what one packet comes to would never let one pass.
        self.burst = f64::from(rate.burst).max(4.0 * f64::from(copies));
        (1.0 - self.taken / self.burst).max(0.0) as f32
    }

    /// Takes tokens for the copies of one packet, if so many are left; of the lower half only for a
    /// regular source.
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
