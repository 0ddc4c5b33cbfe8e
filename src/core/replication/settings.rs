//! Settings of the worker that replicates ICMP "packet too big".

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::link::LinkName;
use crate::replication::cluster_peers::ClusterPeers;
use crate::replication::limits::{Floor, Limits};

/// The settings of the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The NFLOG group it reads.
    pub group: u16,
    /// The nodes that get a copy. This node may be listed and is skipped.
    pub peers: Vec<IpAddr>,
    /// How copies reach them.
    pub mode: Mode,
    /// The interface for broadcasts; without it, every interface that has a peer on its link.
    pub interface: Option<LinkName>,
    /// The TTL or hop limit of copies; without it, one less than the original's. At least 2 in
    /// either case.
    pub ttl: Option<u8>,
    /// The minimum next-hop MTUs.
    pub floor: Floor,
    /// Whether errors about packets to a peer are replicated too. Such an error lowers the path MTU between
    /// the nodes, which their tunnels use.
    #[serde(default)]
    pub flows_to_nodes: bool,
    /// Networks that quoted sources must be in; empty means any.
    #[schemars(with = "Vec<String>")]
    pub vips: Vec<IpNet>,
    /// Networks of sources that are not replicated.
    #[schemars(with = "Vec<String>")]
    pub ignore_sources: Vec<IpNet>,
    /// The rate limits.
    pub limits: Limits,
    /// Filter and count packets, but send nothing.
    pub dry_run: bool,
}

/// The replication section of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// The worker's settings; the peers file and the cluster may add peers.
    pub settings: Settings,
    /// The path of the peers file.
    pub peers_file: Option<String>,
    /// The objects of a Kubernetes cluster that name peers.
    pub cluster: Option<ClusterPeers>,
}

/// The way copies reach the peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A frame to each peer's own link-layer address; the peer's kernel forwards the packet to the pod.
    #[default]
    Unicast,
    /// One frame to all stations; their kernels deliver it locally and do not forward it.
    Broadcast,
    /// Encapsulated in IP to each peer, across routers: IPv4 in IPv4 for the peer's ipip0, IPv4 and
    /// IPv6 in IPv6 for its ipip60.
    Ipip,
}

impl Mode {
    /// The names of the modes in documents.
    pub const WORDS: &[&str] = &["unicast", "broadcast", "ipip"];

    /// The mode of a name.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Mode::Unicast, Mode::Broadcast, Mode::Ipip];
        let place = Mode::WORDS.iter().position(|known| *known == word)?;
        all.get(place).copied()
    }
}
