//! Counters of the worker and of its peers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::replication::histogram::Histogram;
use crate::replication::refusal::Refusal;
use crate::replication::settings::{Mode, Settings};

/// What the worker has done since it was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Packets that NFLOG handed over.
    pub received: u64,
    /// Packets that were copied to the peers, or would have been with `dry_run`.
    pub replicated: u64,
    /// Copies that were sent.
    pub sent: u64,
    /// Copies that the kernel did not take.
    pub failed: u64,
    /// Packets that were not copied, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Packets that the kernel logged and could not hand over, by gaps in their numbers.
    pub lost: u64,
    /// Messages that did not fit into the socket, by its own count.
    pub dropped: u64,
    /// How often the socket said that messages were lost.
    pub overruns: u64,
    /// Messages that were no NFLOG packets.
    pub malformed: u64,
    /// Packets that are handed over at once at most, at present.
    pub threshold: u32,
    /// Copies that a packet comes to at present.
    pub targets: Targets,
    /// The kernel took none of the last copies, whoever they were for.
    pub unsent: bool,
    /// From when packets were read until their copies were sent.
    pub latency: Histogram,
    /// The peers, as they were named.
    pub peers: Vec<PeerStatistics>,
}

/// Copies that a packet of each family comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// One of IPv4.
    pub ipv4: u32,
    /// One of IPv6.
    pub ipv6: u32,
}

impl Statistics {
    /// Why no copy reaches anybody, where that is so.
    pub fn trouble(&self, settings: &Settings) -> Option<String> {
        let Targets { ipv4, ipv6 } = self.targets;
        let broadcast = settings.mode == Mode::Broadcast;
        if self.unsent {
            Some("the kernel took none of the last copies".into())
        } else if broadcast && ipv4 + ipv6 == 0 {
            Some(match settings.interface {
                Some(name) => format!("no broadcast goes out: {name} is not there, or down"),
                None => "no broadcast goes out: no peer is found on a link".into(),
            })
        } else if !broadcast && !self.peers.iter().any(|peer| peer.state.is_reachable()) {
            Some(self.why_unreachable())
        } else {
            None
        }
    }

    /// Why no peer is reachable.
    fn why_unreachable(&self) -> String {
        /// So many are named.
        const SHOWN: usize = 3;
        let others = self.peers.iter().filter(|peer| peer.state != PeerState::Itself);
        let others: Vec<&PeerStatistics> = others.collect();
        if self.peers.is_empty() {
            return "there are no peers: neither the document nor a file of peers names any".into();
        }
        if others.is_empty() {
            return "there are no peers but this node itself".into();
        }
        let state = |peer: &PeerStatistics| serde_json::to_value(peer.state).unwrap_or_default();
        let shown = others.iter().take(SHOWN).map(|peer| {
            let state = state(peer);
            format!("{} is {}", peer.address, state.as_str().unwrap_or_default())
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        match others.len().saturating_sub(SHOWN) {
            0 => format!("no peer can be reached: {shown}"),
            more => format!("no peer can be reached: {shown} and {more} more"),
        }
    }
}

/// What is known of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatistics {
    /// Its address.
    pub address: IpAddr,
    /// Whether it can be reached.
    pub state: PeerState,
    /// Copies that were sent to it; a broadcast is nobody's.
    pub sent: u64,
    /// Copies to it that the kernel did not take.
    pub failed: u64,
}

/// Whether a peer can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerState {
    /// It gets copies.
    Ready,
    /// It is this node.
    Itself,
    /// It does not answer for its link-layer address.
    Unresolved,
    /// There is no route to it.
    NoRoute,
    /// It is behind a router, which only `mode: ipip` crosses: a router would send a copy where it
    /// sends everything for the address in it, and not to this peer.
    BehindRouter,
    /// Its link-layer address is that of a peer named before, which gets the copy.
    SameStation,
    /// It gets copies, and its link-layer address is that of the router: packets that come by it
    /// cannot be told from its copies, and are not replicated.
    Router,
    /// It has an IPv4 address and `mode: ipip` takes IPv6 to IPv6 addresses only; it gets IPv4.
    Ipv4Only,
    /// It can be reached, and this host lets none of the copies out: a packet filter, or
    /// IPAddressDeny= of the unit.
    Refused,
}

impl PeerState {
    /// Whether the worker sends copies to this peer.
    pub fn is_reachable(self) -> bool {
        matches!(self, PeerState::Ready | PeerState::Router | PeerState::Ipv4Only)
    }

    /// Whether an operator must act before copies reach this peer, or before its copies are told from the router's packets.
    /// [`PeerState::Router`] is reachable and needs attention.
    pub fn needs_attention(self) -> bool {
        matches!(
            self,
            PeerState::Unresolved
                | PeerState::NoRoute
                | PeerState::BehindRouter
                | PeerState::Router
                | PeerState::Refused
        )
    }
}
