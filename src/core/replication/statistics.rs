//! Counters of the worker and of its peers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::replication::histogram::Histogram;
use crate::replication::probe::ProbeRecord;
use crate::replication::refusal::Refusal;
use crate::replication::settings::{Mode, Settings};

/// Counters of the worker since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Packets that NFLOG handed over.
    pub received: u64,
    /// Packets that were copied to the peers, or would have been with `dry_run`.
    pub replicated: u64,
    /// Copies that were sent.
    pub sent: u64,
    /// Copies that the kernel rejected.
    pub failed: u64,
    /// Packets that were not copied, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// Packets that the kernel logged but could not deliver, counted by gaps in sequence numbers.
    pub lost: u64,
    /// Messages that did not fit into the socket, as the socket counts them.
    pub dropped: u64,
    /// How often the socket reported lost messages.
    pub overruns: u64,
    /// Messages that were not NFLOG packets.
    pub malformed: u64,
    /// The current maximum number of packets per batch.
    pub threshold: u32,
    /// The current number of copies per packet.
    pub targets: Targets,
    /// Whether the kernel rejected all of the last copies, for every peer.
    pub unsent: bool,
    /// The time from reading a packet to sending its copies.
    pub latency: Histogram,
    /// The peers, in the order of the settings.
    pub peers: Vec<PeerStatistics>,
    /// The probes of the last minute.
    pub probes: Vec<ProbeRecord>,
    /// Whether there is no room for the record of a further probe.
    pub probes_full: bool,
}

/// The number of copies per packet, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// One of IPv4.
    pub ipv4: u32,
    /// One of IPv6.
    pub ipv6: u32,
}

impl Statistics {
    /// The reason why no copy reaches any peer, if that is so.
    pub fn trouble(&self, settings: &Settings) -> Option<String> {
        let Targets { ipv4, ipv6 } = self.targets;
        let broadcast = settings.mode == Mode::Broadcast;
        if self.unsent {
            Some("the kernel rejected all of the last copies".into())
        } else if broadcast && ipv4 + ipv6 == 0 {
            Some(match settings.interface {
                Some(name) => format!("no broadcasts are sent: {name} does not exist or is down"),
                None => "no broadcasts are sent: no peer is on a local link".into(),
            })
        } else if !broadcast && !self.peers.iter().any(|peer| peer.state.is_reachable()) {
            Some(self.why_unreachable())
        } else {
            None
        }
    }

    /// The reason why no peer can be reached.
    fn why_unreachable(&self) -> String {
        /// The maximum number of peers that the message names.
        const SHOWN: usize = 3;
        let others = self.peers.iter().filter(|peer| peer.state != PeerState::Itself);
        let others: Vec<&PeerStatistics> = others.collect();
        if self.peers.is_empty() {
            return "there are no peers: neither the document nor the peers file has any".into();
        }
        if others.is_empty() {
            return "the only peer is this node itself".into();
        }
        let shown = others
            .iter()
            .take(SHOWN)
            .map(|peer| format!("{} is {}", peer.address, peer.state.name()));
        let shown = shown.collect::<Vec<_>>().join(", ");
        match others.len().saturating_sub(SHOWN) {
            0 => format!("no peer can be reached: {shown}"),
            more => format!("no peer can be reached: {shown} and {more} more"),
        }
    }
}

/// The state and counters of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatistics {
    /// Its address.
    pub address: IpAddr,
    /// Whether it can be reached.
    pub state: PeerState,
    /// Copies that were sent to it; broadcasts are not counted.
    pub sent: u64,
    /// Copies to it that the kernel rejected.
    pub failed: u64,
}

/// The reachability of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PeerState {
    /// It gets copies.
    Ready,
    /// It is this node.
    Itself,
    /// Its link-layer address cannot be resolved.
    Unresolved,
    /// There is no route to it.
    NoRoute,
    /// It is behind a router, which only `mode: ipip` crosses. The router would forward a copy by its
    /// destination address, and not to this peer.
    BehindRouter,
    /// It has the same link-layer address as an earlier peer, which gets the copy.
    SameStation,
    /// It gets copies, but its link-layer address is that of the router. Packets from the router cannot
    /// be distinguished from this peer's copies and are not replicated.
    Router,
    /// It has only an IPv4 address. `mode: ipip` sends IPv6 to IPv6 addresses only, so the peer gets
    /// IPv4 only.
    Ipv4Only,
    /// It can be reached, but this host blocks the copies: a packet filter, or IPAddressDeny= of the
    /// unit.
    Refused,
}

impl PeerState {
    /// The name in documents and outputs.
    pub fn name(self) -> &'static str {
        match self {
            PeerState::Ready => "ready",
            PeerState::Itself => "itself",
            PeerState::Unresolved => "unresolved",
            PeerState::NoRoute => "no-route",
            PeerState::BehindRouter => "behind-router",
            PeerState::SameStation => "same-station",
            PeerState::Router => "router",
            PeerState::Ipv4Only => "ipv4-only",
            PeerState::Refused => "refused",
        }
    }

    /// Whether the worker sends copies to this peer.
    pub fn is_reachable(self) -> bool {
        matches!(self, PeerState::Ready | PeerState::Router | PeerState::Ipv4Only)
    }

    /// Whether an operator must act: copies do not reach this peer, or cannot be distinguished from the router's packets.
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
