//! How much is replicated: token buckets by source, by quoted destination and for all copies, and a
//! memory of what was replicated a moment ago. All tables have a fixed size, so that no number of
//! forged sources makes them grow.

mod bucket;
mod recent;
mod regular;

use std::hash::BuildHasher;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::packet::{Refusal, TooBig};
use bucket::{Buckets, Share, Total};
use recent::Recent;
use regular::Regular;

/// A rate: so many in a second, and so many at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// In a second.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Packets of one source, which is a router: Linux sends at most 1,000 errors a second unless
    /// it is told otherwise (`icmp_msgs_per_sec`).
    pub per_source: Rate,
    /// Packets about one quoted destination.
    pub per_destination: Rate,
    /// Copies to all peers together: what bounds the amplification.
    pub copies: Rate,
    /// How long the same flow with the same MTU is not replicated again.
    pub repeat_after: Duration,
}

impl Default for Limits {
    /// An incident, as when a path loses 100 bytes below 3,000 connections, passes at once to 32
    /// peers; a flood costs the network 50,000 copies a second at most.
    fn default() -> Self {
        let thousand = Rate {
            per_second: 1_000,
            burst: 4_000,
        };
        Limits {
            per_source: thousand,
            per_destination: thousand,
            copies: Rate {
                per_second: 50_000,
                burst: 200_000,
            },
            repeat_after: Duration::from_secs(3),
        }
    }
}

/// Decides packet by packet. The hasher has to be keyed with something that no sender knows, else
/// sources can be chosen that share a bucket with a victim.
///
/// Forged sources are free, so that shares by source alone would leave an honest router one
/// millionth. Hence two ranks: sources that were heard regularly, and newcomers. Newcomers take
/// copies while more than half of the burst is left; regular sources take also the rest, and as it
/// shrinks so does what each of them may send, which leaves those below their fair share alone.
#[derive(Debug)]
pub struct Limiter<S> {
    hasher: S,
    limits: Limits,
    sources: Buckets,
    destinations: Buckets,
    total: Total,
    regular: Regular,
    recent: Recent,
}

impl<S: BuildHasher> Limiter<S> {
    /// With all buckets full and no memory.
    pub fn new(limits: Limits, hasher: S) -> Self {
        Limiter {
            hasher,
            limits,
            sources: Buckets::default(),
            destinations: Buckets::default(),
            total: Total::default(),
            regular: Regular::default(),
            recent: Recent::default(),
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
        let milliseconds = now.as_millis() as u32;
        let flow = self.hasher.hash_one(flow(packet));
        if self.recent.holds(flow, milliseconds, self.limits.repeat_after) {
            return Err(Refusal::Duplicate);
        }
        let source = self.hasher.hash_one(packet.source.number());
        let destination = self.hasher.hash_one((packet.quoted.destination.number(), 0u8));
        let regular = self.regular.hear(source, now);
        let copies = copies.max(1);
        let left = self.total.left(self.limits.copies, copies, now);
        let pressed = if left < 0.5 { (2.0 * left).powi(2) } else { 1.0 };
        let share = Share {
            pace: pressed,
            burst: pressed,
        };
        let rate = self.limits.per_source;
        if !self.sources.has(source, rate, share, milliseconds) {
            return Err(Refusal::SourceRate);
        }
        // Newcomers leave half of it to the regular sources, as of the copies.
        let share = Share {
            pace: 1.0,
            burst: if regular { 1.0 } else { 0.5 },
        };
        let rate = self.limits.per_destination;
        if !self.destinations.has(destination, rate, share, milliseconds) {
            return Err(Refusal::DestinationRate);
        }
        if !self.total.take(copies, regular) {
            return Err(Refusal::CopyRate);
        }
        self.sources.take(source);
        self.destinations.take(destination);
        self.recent.remember(flow, milliseconds);
        Ok(())
    }
}

/// What makes two packets say the same.
fn flow(packet: &TooBig) -> (u128, u128, u64) {
    let quoted = packet.quoted;
    let rest = u64::from(quoted.ports) << 32 | u64::from(quoted.protocol) << 16;
    // An MTU above 65,535 comes with IPv6 only, and none such is below that of a link.
    let mtu = u64::from(packet.mtu.min(0xffff));
    (
        quoted.source.number(),
        quoted.destination.number(),
        rest ^ (mtu << 8 & 0xff00) ^ (mtu >> 8),
    )
}

#[cfg(test)]
mod tests;
