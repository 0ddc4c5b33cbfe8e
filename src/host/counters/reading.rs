//! One reading of all counters of a network namespace, with the state that explains them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counters::counter::{Counter, RuleKey};
use crate::counters::entries;
use crate::counters::unread::{Source, Unread};
use crate::snapshot::forwarding::NeighbourState;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;

/// All counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// The moment by the monotonic clock of the host, milliseconds.
    pub at_ms: u64,
    /// The network namespace; null for the one in which netkeel was started.
    pub netns: Netns,
    /// It is the first namespace of the machine; null if that could not be told. Counters of the whole
    /// machine say something on this namespace only then.
    pub initial: Option<bool>,
    /// The interfaces.
    pub links: BTreeMap<LinkName, LinkIdentity>,
    /// The counters that were read. One that is missing is unknown.
    #[serde(with = "entries")]
    #[schemars(with = "Vec<(Counter, u64)>")]
    pub counters: BTreeMap<Counter, u64>,
    /// Values that rise and fall.
    #[serde(with = "entries")]
    #[schemars(with = "Vec<(Gauge, u64)>")]
    pub gauges: BTreeMap<Gauge, u64>,
    /// The kind of each root qdisc (`fq_codel`).
    pub qdiscs: BTreeMap<LinkName, Arc<str>>,
    /// The rules and policies that drop or reject, and that count.
    #[serde(with = "entries")]
    #[schemars(with = "Vec<(RuleKey, Rule)>")]
    pub rules: BTreeMap<RuleKey, Rule>,
    /// Rules and policies that drop or reject but do not count by themselves: what they drop is unknown.
    #[serde(with = "entries")]
    #[schemars(with = "Vec<(RuleKey, Rule)>")]
    pub uncounted: BTreeMap<RuleKey, Rule>,
    /// Neighbours that did not answer, or have not answered yet.
    pub neighbours: BTreeSet<SilentNeighbour>,
    /// Path MTUs that the kernel learned; null if they were not read.
    pub path_mtus: Option<PathMtus>,
    /// The sources that were not read.
    pub unread: BTreeSet<Unread>,
}

/// An interface, as far as the meaning of its counters needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct LinkIdentity {
    /// Its index. Another index under the same name is another interface, whose counters began at 0.
    pub index: u32,
    /// The rtnetlink kind (`veth`); none for hardware.
    pub kind: Option<Arc<str>>,
    /// Bytes.
    pub mtu: u32,
    /// Index of its lower device, or of the other end of a veth.
    pub lower: Option<u32>,
    /// The other end is in another namespace.
    pub leads_elsewhere: bool,
    /// Index of the bridge, bond or Open vSwitch that it is a port of.
    pub master: Option<u32>,
}

/// A value that rises and falls.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gauge {
    /// Packets that wait in the root qdisc of an interface.
    Backlog(LinkName),
    /// Connections that are tracked.
    Connections,
    /// `net.netfilter.nf_conntrack_max`.
    MaxConnections,
    /// Entries of the IPv4 neighbour table, of the whole machine.
    Neighbours4,
    /// Entries of the IPv6 neighbour table, of the whole machine.
    Neighbours6,
    /// `net.ipv4.ip_forward`.
    Forwarding4,
    /// `net.ipv6.conf.all.forwarding`.
    Forwarding6,
    /// `net.bridge.bridge-nf-call-iptables`: rules of IPv4 see bridged packets too.
    BridgeCallsIptables,
    /// `net.bridge.bridge-nf-call-ip6tables`.
    BridgeCallsIp6tables,
}

/// A rule that drops or rejects, or the policy of a base chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// The fate of a packet that it matches.
    pub verdict: RuleVerdict,
    /// The hook of its chain, as nft names it: `forward`. None for a rule of a chain that other rules lead to.
    pub hook: Option<Arc<str>>,
}

/// The fate of a packet that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuleVerdict {
    /// It is dropped without an answer.
    Drop,
    /// It is dropped with an answer to its sender.
    Reject,
}

/// A neighbour without an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SilentNeighbour {
    /// The interface.
    pub link: LinkName,
    /// The neighbour's address.
    pub address: IpAddr,
    /// It failed, or is waited for.
    pub state: NeighbourState,
    /// Milliseconds since a packet was to be sent to it, or since its state changed.
    pub idle_ms: u64,
}

/// The path MTUs that the kernel learned from ICMP errors, of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PathMtus {
    /// Destinations with one.
    pub learned: u64,
    /// Those below 576 bytes (IPv4) or 1280 bytes (IPv6): no link of the internet is that small.
    pub tiny: u64,
    /// Those that are locked.
    pub locked: u64,
    /// Those that the kernel forgets within a minute.
    pub expiring: u64,
    /// The smallest.
    pub smallest: Option<PathMtu>,
}

/// A path MTU that the kernel learned from an ICMP error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PathMtu {
    /// Bytes.
    pub mtu: u32,
    /// The address that packets go to.
    pub destination: IpAddr,
    /// The interface by which they leave.
    pub link: Option<LinkName>,
    /// The `mtu` is locked: the kernel no longer sets DF on packets to it, as their MTU fell below
    /// `net.ipv4.route.min_pmtu`.
    pub locked: bool,
}

impl Reading {
    /// The reason why a source was not read.
    pub fn unread(&self, source: Source) -> Option<&Unread> {
        self.unread.iter().find(|unread| unread.source == source)
    }

    /// The interface with an index.
    pub fn by_index(&self, index: u32) -> Option<(LinkName, &LinkIdentity)> {
        let mut links = self.links.iter().map(|(name, link)| (*name, link));
        links.find(|(_, link)| link.index == index)
    }
}
