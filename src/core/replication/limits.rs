//! Rate limits of replication, and the smallest MTU that is accepted.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A token bucket: a rate per second, and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Packets per second.
    pub per_second: u32,
    /// Packets of a burst.
    pub burst: u32,
}

/// The rate limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Packets of one source, which is a router. By default Linux sends at most 1,000 ICMP errors a
    /// second (`icmp_msgs_per_sec`). A source above this rate keeps a few packets a second about each
    /// quoted destination, because a forger can take an address's whole rate.
    pub per_source: Rate,
    /// Packets about one quoted destination.
    pub per_destination: Rate,
    /// Copies to all peers together. This limit bounds the amplification.
    pub copies: Rate,
    /// How long the same flow with the same MTU counts as a duplicate.
    pub repeat_after: Duration,
}

impl Default for Limits {
    /// A path that loses 100 bytes below 3,000 connections passes at once to 32 peers. A flood costs
    /// the network at most 50,000 copies a second.
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

/// The minimum next-hop MTUs, bytes. A forged tiny MTU would slow hosts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Floor {
    /// Of IPv4. By default 576, which every host takes (RFC 791). With 0, errors of routers before RFC 1191,
    /// which say 0, are replicated too.
    pub ipv4: u16,
    /// Of IPv6. By default 1280, the protocol's minimum (RFC 8200).
    pub ipv6: u16,
}

impl Default for Floor {
    fn default() -> Self {
        Floor {
            ipv4: 576,
            ipv6: 1280,
        }
    }
}
