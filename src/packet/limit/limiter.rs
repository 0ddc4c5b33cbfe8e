//! The rate limiter: token buckets by source, by quoted destination and for all copies, and a cache of
//! recent flows. All tables have a fixed size, so forged sources cannot make them grow.

use std::time::Duration;

use crate::limit::bucket::{Buckets, Share, Total};
use crate::limit::dedup_cache::DedupCache;
use crate::limit::flow_hash::{FlowHash, Key};
use crate::limit::known_sources::KnownSources;
use crate::too_big::TooBig;
use netkeel_core::replication::limits::{Limits, Rate};
use netkeel_core::replication::refusal::Refusal;

/// The rate that one source always has for one destination: twice what a steady source sends. It holds
/// where the destination's own budget is used up by forged sources as steady as a router, and where the
/// source's budget is used up by a forger of its address.
const TRICKLE: Rate = Rate {
    per_second: 20,
    burst: 20,
};

/// Decides packet by packet.
///
/// Forged sources cost nothing, so equal shares per source would leave an honest router one millionth.
/// Hence there are two classes: regular sources and newcomers. Newcomers may use the upper half of the
/// burst; regular sources may use the rest too. As the rest shrinks, so does each source's limit, which
/// does not affect sources below their fair share. The limit per destination works the same way.
///
/// A forger can also use a router's own address and take all of its rate. So a source above its rate keeps
/// a trickle for each destination. A pair of source and destination is regular or new as a source is: a
/// forger who does not know the clients makes new pairs only, and these get at most half of the copies.
#[derive(Debug)]
pub struct Limiter {
    key: Key,
    limits: Limits,
    sources: Buckets,
    destinations: Buckets,
    /// Buckets for one source and one destination; used while the destination's bucket is below half.
    pairs: Buckets,
    /// Buckets for one source and one destination; used while the source's bucket is empty.
    trickles: Buckets,
    total: Total,
    known: KnownSources,
    known_pairs: KnownSources,
    recent: DedupCache,
}

impl Limiter {
    /// All buckets are full and the cache is empty.
    pub fn new(limits: Limits, key: Key) -> Self {
        Limiter {
            key,
            limits,
            sources: Buckets::default(),
            destinations: Buckets::default(),
            pairs: Buckets::default(),
            trickles: Buckets::default(),
            total: Total::default(),
            known: KnownSources::default(),
            known_pairs: KnownSources::of_pairs(),
            recent: DedupCache::default(),
        }
    }

    /// Changes the limits and keeps the state.
    pub fn set(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a packet may be sent to so many peers at `now`, counted from any fixed point. A rejected
    /// packet uses no budget of the other limits.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub fn admit(&mut self, packet: &TooBig, copies: u32, now: Duration) -> Result<(), Refusal> {
        // Wraps after 49 days; the tables use differences only.
        let milliseconds = now.as_millis() as u32;
        let FlowHash {
            flow,
            source,
            pair,
            destination,
        } = self.key.hash(packet);
        if self.recent.holds(flow, milliseconds, self.limits.repeat_after) {
            return Err(Refusal::Duplicate);
        }
        let regular = self.known.count(source, milliseconds);
        let regular_pair = self.known_pairs.count(pair, milliseconds);
        let copies = copies.max(1);
        let pressed = pressed(self.total.left(self.limits.copies, copies, now));
        let share = Share {
            pace: pressed,
            burst: pressed,
        };
        let rate = self.limits.per_source;
        let above = !self.sources.has(source, rate, share, milliseconds);
        if above && !self.trickles.has(pair, TRICKLE, share, milliseconds) {
            return Err(Refusal::SourceRate);
        }
        let rate = self.limits.per_destination;
        let crowded = !self.destinations.has(destination, rate, HALF, milliseconds);
        if crowded {
            let share = among_regular(rate, self.destinations.left(destination, rate));
            if !regular || !self.pairs.has(pair, rate, share, milliseconds) {
                return Err(Refusal::DestinationRate);
            }
        }
        let class = if above { regular_pair } else { regular };
        if !self.total.take(copies, class) {
            return Err(Refusal::CopyRate);
        }
        match above {
            true => self.trickles.take(pair, TRICKLE),
            false => self.sources.take(source, self.limits.per_source),
        }
        self.destinations.take(destination, rate);
        if crowded {
            self.pairs.take(pair, rate);
        }
        self.recent.remember(flow, milliseconds);
        Ok(())
    }
}

/// The share for newcomers.
const HALF: Share = Share {
    pace: 1.0,
    burst: 0.5,
};

/// The part for each source when `left`, 0 to 1, is the fraction of the common budget that remains. It
/// is 1 while half of the budget remains.
fn pressed(left: f32) -> f32 {
    if left < 0.5 { 4.0 * left * left } else { 1.0 }
}

/// The share of a regular source in a destination's lower half.
fn among_regular(rate: Rate, left: f32) -> Share {
    let least = |trickle: u32, of: u32| trickle as f32 / of.max(1) as f32;
    Share {
        pace: pressed(left)
            .max(least(TRICKLE.per_second, rate.per_second))
            .min(1.0),
        // Several times the remainder, so that a single source gets nearly all of it.
        burst: (8.0 * left).max(least(TRICKLE.burst, rate.burst)).min(0.5),
    }
}
