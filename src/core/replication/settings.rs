//! What the worker that replicates ICMP "packet too big" is told and what it tells: settings,
//! statistics, and the messages in which they travel between it and netkeel.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::link::LinkName;
use crate::replication::limits::{Floor, Limits};

/// What the worker does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The NFLOG group it reads.
    pub group: u16,
    /// The nodes that get a copy. This node may be listed and is skipped.
    pub peers: Vec<IpAddr>,
    /// How copies reach them.
    pub mode: Mode,
    /// Where broadcasts go out; without it, wherever a peer is on the link.
    pub interface: Option<LinkName>,
    /// The TTL or hop limit of copies; without it, one less than the original's. At least 2 in
    /// either case.
    pub ttl: Option<u8>,
    /// The smallest next-hop MTUs that are accepted.
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
