//! Rate limits of replication, and the smallest MTU that is accepted.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rate: so many in a second, and so many at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// In a second.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// The least next-hop MTUs, bytes. Whoever can make hosts believe a tiny MTU slows them down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Floor {
    /// Of IPv4. By default 576, which every host takes (RFC 791).
    pub ipv4: u16,
    /// Of IPv6. By default 1280, the least there is (RFC 8200).
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
