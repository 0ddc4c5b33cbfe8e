//! A whole path: what it joins, its devices, and what passes each way.

use schemars::JsonSchema;
use serde::Serialize;

use crate::path::capacity::Capacity;
use crate::path::hop::Hop;
use crate::path::origin::{Destination, Origin};
use crate::path::unknown::Unknown;
use netkeel_host::snapshot::forwarding::Family;

/// The way of packets between an origin on this host and a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Path {
    /// Where packets begin.
    pub origin: Origin,
    /// Where they go.
    pub destination: Destination,
    /// The address family of the packets.
    pub family: Family,
    /// The devices, from the origin outward.
    pub hops: Vec<Hop>,
    /// The largest packet from the origin to the destination.
    pub out: Capacity,
    /// The largest packet from the destination to the origin.
    pub back: Capacity,
    /// The largest TCP segments that need no path MTU discovery, bytes.
    pub mss: Mss,
    /// Facts that decide and could not be read.
    pub unknown: Vec<Unknown>,
}

/// TCP segment sizes, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mss {
    /// For IPv4; none if the largest packet is not known.
    pub ipv4: Option<u32>,
    /// For IPv6; none if it is not known, or IPv6 needs more than passes.
    pub ipv6: Option<u32>,
}
