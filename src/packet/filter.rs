//! The filter for valid packets: all checks that need no state.

use crate::address::{Addresses, Networks};
use crate::too_big::TooBig;
use netkeel_core::replication::limits::Floor;
use netkeel_core::replication::refusal::Refusal;

/// The conditions for replicating a packet.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The minimum next-hop MTUs.
    pub floor: Floor,
    /// Networks that quoted sources must be in; empty means any.
    pub vips: Networks,
    /// Sources that are not replicated.
    pub ignore_sources: Networks,
    /// This node and its peers.
    pub nodes: Addresses,
    /// Whether errors about packets to a node are replicated too.
    pub flows_to_nodes: bool,
}

impl Filter {
    /// Checks a packet. `replica` says that it is a copy: its frame came from a peer or went to more than one
    /// station, or it came out of a tunnel.
    ///
    /// # Errors
    /// The first reason against the packet. The check for replicas comes first, then the check that a
    /// local address sent the quoted packet, then all other fields that the sender controls.
    pub fn check(&self, packet: &TooBig, replica: bool) -> Result<(), Refusal> {
        let floor = if packet.ipv6 {
            self.floor.ipv6
        } else {
            self.floor.ipv4
        };
        let refusal = if replica {
            Refusal::Replica
        } else if packet.quoted.source != packet.destination {
            Refusal::QuoteOfAnother
        } else if !self.vips.is_empty() && !self.vips.contain(packet.quoted.source) {
            Refusal::OutsideVips
        } else if !self.flows_to_nodes && self.nodes.contain(packet.quoted.destination) {
            Refusal::QuoteToNode
        } else if packet.mtu < floor.into() {
            Refusal::BelowFloor
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

/// Checks the MTU of a packet against that of the interface by which answers to the quoted destination leave,
/// bytes. An unknown MTU rejects nothing.
///
/// # Errors
/// [`Refusal::NotBelowLink`]: no packet that left by this interface was too big for such a path.
pub fn below_link(packet: &TooBig, link_mtu: Option<u32>) -> Result<(), Refusal> {
    match link_mtu.is_some_and(|mtu| packet.mtu >= mtu) {
        true => Err(Refusal::NotBelowLink),
        false => Ok(()),
    }
}
