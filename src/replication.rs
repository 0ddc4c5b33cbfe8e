//! What the worker that replicates ICMP "packet too big" is told and what it tells: settings,
//! statistics, and the messages in which they travel between it and netkeel.

mod histogram;
pub mod lifecycle;
mod message;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limit::Limits;
use crate::link_name::LinkName;
use crate::packet::{Floor, Refusal};
pub use histogram::{BOUNDS, Histogram};
pub use message::{FromWorker, ToWorker, VERSION, decode, encode};

/// What the worker does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The NFLOG group it reads.
    pub group: u16,
    /// The nodes that get a copy. This node may be among them and is left out.
    pub peers: Vec<IpAddr>,
    /// How copies reach them.
    pub mode: Mode,
    /// Where broadcasts go out; without it, wherever a peer is on the link.
    pub interface: Option<LinkName>,
    /// The TTL or hop limit of copies; without it, one less than the original's. At least 2 in
    /// either case.
    pub ttl: Option<u8>,
    /// The least next-hop MTUs that are believed.
    pub floor: Floor,
    /// Networks in which quoted sources must be; empty means that any may be.
    #[schemars(with = "Vec<String>")]
    pub vips: Vec<IpNet>,
    /// Networks of sources that are not replicated.
    #[schemars(with = "Vec<String>")]
    pub ignore_sources: Vec<IpNet>,
    /// How much is replicated.
    pub limits: Limits,
    /// Judge and count, and send nothing.
    pub dry_run: bool,
}

/// What a document says of replication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// What the worker is told; a file may name more peers.
    pub settings: Settings,
    /// That file.
    pub peers_file: Option<String>,
}

/// Whether packets are replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// No document declares replication.
    Off,
    /// Packets are copied to all peers.
    Ok,
    /// Packets are copied; some peers cannot be reached, or the file of peers cannot be read.
    Degraded,
    /// Packets are checked and counted, and not sent (`dry_run`).
    DryRun,
    /// No packet is copied.
    Failed,
}

/// What the service of a host says of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replicating {
    /// A service runs.
    pub service: bool,
    /// What of its command line keeps its worker from sending, whatever documents say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_by: Option<String>,
    /// What its worker was told; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Whether packets are replicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How copies reach the peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A frame to each peer's own link-layer address: its kernel forwards it to the pod.
    #[default]
    Unicast,
    /// One frame to all stations: kernels take it for themselves and do not forward it.
    Broadcast,
    /// Encapsulated in IP to each peer, across routers: IPv4 in IPv4 for its ipip0, IPv4 and IPv6
    /// in IPv6 for its ipip60.
    Ipip,
}

impl Mode {
    /// Their names, as documents have them.
    pub const WORDS: &[&str] = &["unicast", "broadcast", "ipip"];

    /// By name.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Mode::Unicast, Mode::Broadcast, Mode::Ipip];
        let place = Mode::WORDS.iter().position(|known| *known == word)?;
        all.get(place).copied()
    }
}

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
        } else if !broadcast && !self.peers.iter().any(|peer| peer.state.is_served()) {
            Some(self.unserved())
        } else {
            None
        }
    }

    /// Why none of the peers is served.
    fn unserved(&self) -> String {
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
    /// Copies are sent to it.
    pub fn is_served(self) -> bool {
        matches!(self, PeerState::Ready | PeerState::Router | PeerState::Ipv4Only)
    }

    /// Something is to be done before copies reach it, or come from others.
    pub fn is_amiss(self) -> bool {
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

/// The addresses of a file: one a line, with `#` for comments.
///
/// # Errors
/// The first line, counted from 1, that is no address.
pub fn peers_of(text: &str) -> Result<Vec<IpAddr>, usize> {
    let mut peers = Vec::new();
    // Some editors begin with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            peers.push(line.parse().map_err(|_| number + 1)?);
        }
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_peers_has_an_address_a_line() {
        let text = "# the rack\n192.0.2.1\n\n  2001:db8::1  # far\r\n";
        let peers = peers_of(text).unwrap();
        assert_eq!(
            peers,
            ["192.0.2.1", "2001:db8::1"].map(|text| text.parse::<IpAddr>().unwrap())
        );
        assert_eq!(peers_of("192.0.2.1\nnode-2\n"), Err(2));
        assert_eq!(peers_of(""), Ok(Vec::new()));
    }

    #[test]
    fn modes_have_names() {
        for word in Mode::WORDS {
            let mode = Mode::from_word(word).unwrap();
            assert_eq!(
                serde_json::to_value(mode).unwrap(),
                serde_json::Value::from(*word)
            );
        }
        assert_eq!(Mode::from_word("multicast"), None);
    }
}
