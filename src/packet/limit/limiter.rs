//! How much is replicated: token buckets by source, by quoted destination and for all copies, and a
//! memory of what was replicated a moment ago. All tables have a fixed size, so that no number of
//! forged sources makes them grow.

use std::time::Duration;

use crate::limit::bucket::{Buckets, Share, Total};
use crate::limit::dedup_cache::DedupCache;
use crate::limit::flow_hash::{FlowHash, Key};
use crate::limit::known_sources::KnownSources;
use crate::too_big::TooBig;
use netkeel_core::replication::limits::{Limits, Rate};
use netkeel_core::replication::refusal::Refusal;

/// So much a regular source may say about one destination whatever others say about it: twice what
/// a steady source sends. Who forges many that send as steadily takes from the limit on copies, and
/// not from an honest source that reports about the same client.
const TRICKLE: Rate = Rate {
    per_second: 20,
    burst: 20,
};

/// Decides packet by packet.
///
/// Forged sources are free, so that shares by source alone would leave an honest router one
/// millionth. Hence two ranks: sources that were heard regularly, and newcomers. Newcomers take
/// copies while more than half of the burst is left; regular sources take also the rest, and as it
/// shrinks so does what each of them may send, which leaves those below their fair share alone. So
/// it is with what is said about one destination.
#[derive(Debug)]
pub struct Limiter {
    key: Key,
    limits: Limits,
    sources: Buckets,
    destinations: Buckets,
    /// Of one source about one destination; looked at while that destination's bucket is below half.
    pairs: Buckets,
    total: Total,
    known: KnownSources,
    recent: DedupCache,
}

impl Limiter {
    /// With all buckets full and no memory.
    pub fn new(limits: Limits, key: Key) -> Self {
        Limiter {
            key,
            limits,
            sources: Buckets::default(),
            destinations: Buckets::default(),
            pairs: Buckets::default(),
            total: Total::default(),
            known: KnownSources::default(),
            recent: DedupCache::default(),
        }
    }

    /// Changes the limits; what is remembered stays.
    pub fn set(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a packet may be sent to so many peers at a moment `now`, counted from any fixed
    /// point. A packet that is refused uses no budget of the others.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub fn admit(&mut self, packet: &TooBig, copies: u32, now: Duration) -> Result<(), Refusal> {
        // Wraps after 49 days; the tables look at differences only.
        let milliseconds = now.as_millis() as u32;
        let FlowHash {
            flow,
            source,
            destination,
        } = self.key.hash(packet);
        if self.recent.holds(flow, milliseconds, self.limits.repeat_after) {
            return Err(Refusal::Duplicate);
        }
        let regular = self.known.count(source, milliseconds);
        let copies = copies.max(1);
        let pressed = pressed(self.total.left(self.limits.copies, copies, now));
        let share = Share {
            pace: pressed,
            burst: pressed,
        };
        let rate = self.limits.per_source;
        if !self.sources.has(source, rate, share, milliseconds) {
            return Err(Refusal::SourceRate);
        }
        let rate = self.limits.per_destination;
        let crowded = !self.destinations.has(destination, rate, HALF, milliseconds);
        // Both are keyed, and so is what is made of them.
        let pair = source.rotate_left(32) ^ destination;
        if crowded {
            let share = among_regular(rate, self.destinations.left(destination, rate));
            if !regular || !self.pairs.has(pair, rate, share, milliseconds) {
                return Err(Refusal::DestinationRate);
            }
        }
        if !self.total.take(copies, regular) {
            return Err(Refusal::CopyRate);
        }
        self.sources.take(source, self.limits.per_source);
        self.destinations.take(destination, rate);
        if crowded {
            self.pairs.take(pair, rate);
        }
        self.recent.remember(flow, milliseconds);
        Ok(())
    }
}

/// What newcomers may use up.
const HALF: Share = Share {
    pace: 1.0,
    burst: 0.5,
};

/// What each may have when so much, 0 to 1, is left of what all have together: nothing less while
/// half of it is left.
fn pressed(left: f32) -> f32 {
    if left < 0.5 { 4.0 * left * left } else { 1.0 }
}

/// What a regular source may have of a destination's lower half.
fn among_regular(rate: Rate, left: f32) -> Share {
    let least = |trickle: u32, of: u32| trickle as f32 / of.max(1) as f32;
    Share {
        pace: pressed(left)
            .max(least(TRICKLE.per_second, rate.per_second))
            .min(1.0),
        // Several times what is left, so that one source alone gets nearly all of it.
        burst: (8.0 * left).max(least(TRICKLE.burst, rate.burst)).min(0.5),
    }
}
