//! Which sound packets may go on to the peers: everything that can be told without memory.

use crate::address::{Addresses, Networks};
use crate::too_big::TooBig;
use netkeel_core::replication::limits::Floor;
use netkeel_core::replication::refusal::Refusal;

/// What a packet must fulfil.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The least next-hop MTU that is believed.
    pub floor: Floor,
    /// Quoted sources must be in one of these; empty means that any may be.
    pub vips: Networks,
    /// Sources that are not replicated.
    pub ignore_sources: Networks,
    /// This node and its peers.
    pub nodes: Addresses,
}

/// How a packet arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival {
    /// The MTU of the interface it came in by, bytes, when that is known.
    pub link_mtu: Option<u32>,
    /// It is a replica: its frame came from a peer or went to more than one station, or it came out
    /// of a tunnel.
    pub replica: bool,
}

impl Filter {
    /// Judges a packet.
    ///
    /// # Errors
    /// The first reason against it. A replica is looked for first, and whether the quote is of one
    /// of our addresses before anything else that the sender chooses.
    pub fn judge(&self, packet: &TooBig, arrival: Arrival) -> Result<(), Refusal> {
        let floor = if packet.ipv6 {
            self.floor.ipv6
        } else {
            self.floor.ipv4
        };
        let refusal = if arrival.replica {
            Refusal::Replica
        } else if packet.quoted.source != packet.destination {
            Refusal::QuoteOfAnother
        } else if !self.vips.is_empty() && !self.vips.contain(packet.quoted.source) {
            Refusal::OutsideVips
        } else if self.nodes.contain(packet.quoted.destination) {
            Refusal::QuoteToNode
        } else if packet.mtu < floor.into() {
            Refusal::BelowFloor
        } else if arrival.link_mtu.is_some_and(|mtu| packet.mtu >= mtu) {
            Refusal::NotBelowLink
        } else if self.nodes.contain(packet.source) {
            Refusal::FromNode
        } else if self.ignore_sources.contain(packet.source) {
            Refusal::IgnoredSource
        } else {
            return Ok(());
        };
        Err(refusal)
    }
}
