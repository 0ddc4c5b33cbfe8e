//! The name of a counter: a typed key.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::name::link::LinkName;

/// One counter of the kernel. It only grows, until its object is deleted or its driver resets it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counter {
    /// A counter of a protocol, by the kernel's group and name: `Udp` and `RcvbufErrors`
    /// (/proc/net/snmp, snmp6, netstat and xfrm_stat).
    Protocol(Arc<str>, Arc<str>),
    /// A counter of an interface (`rtnl_link_stats64`).
    Link(LinkName, LinkStat),
    /// A counter of the queue that hands received packets to a CPU (/proc/net/softnet_stat). Of the whole
    /// machine.
    Cpu(u32, CpuStat),
    /// A counter of the root qdisc of an interface, which includes those of its children (TCA_STATS2).
    Qdisc(LinkName, QdiscStat),
    /// A counter of the filters of tc at an interface, in both directions: of its qdisc `clsact` or `ingress`
    /// (TCA_STATS2).
    Filters(LinkName, FilterStat),
    /// A counter of connection tracking, over all CPUs (/proc/net/stat/nf_conntrack).
    Conntrack(Arc<str>),
    /// A counter of the neighbour table, over all CPUs (/proc/net/stat/arp_cache and ndisc_cache). Of the
    /// whole machine.
    Neighbours(IpVersion, Arc<str>),
    /// A counter of the IPv4 route lookup, over all CPUs (/proc/net/stat/rt_cache). Of the whole machine.
    RouteLookup(Arc<str>),
    /// Messages that a netlink socket lost because its queue was full (/proc/net/netlink).
    NetlinkDrops(NetlinkSocket),
    /// Packets that an NFQUEUE lost, by its number (/proc/net/netfilter/nfnetlink_queue).
    QueueDrops(u16),
    /// Packets that a rule with a `counter` matched, or that met the policy of a base chain.
    Rule(Box<RuleKey>),
    /// Packets that the kernel dropped for a reason (tracepoint `skb:kfree_skb`). Of the whole machine.
    DropReason(Arc<str>),
}

/// A counter of an interface, in the order of `struct rtnl_link_stats64` (include/uapi/linux/if_link.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub enum LinkStat {
    RxPackets,
    TxPackets,
    RxBytes,
    TxBytes,
    RxErrors,
    TxErrors,
    RxDropped,
    TxDropped,
    Multicast,
    Collisions,
    RxLengthErrors,
    RxOverErrors,
    RxCrcErrors,
    RxFrameErrors,
    RxFifoErrors,
    RxMissedErrors,
    TxAbortedErrors,
    TxCarrierErrors,
    TxFifoErrors,
    TxHeartbeatErrors,
    TxWindowErrors,
    RxCompressed,
    TxCompressed,
    RxNohandler,
    /// Since Linux 5.19.
    RxOtherhostDropped,
}

impl LinkStat {
    /// All, in the kernel's order. Each is a number of 64 bits.
    pub const ALL: [LinkStat; 25] = [
        LinkStat::RxPackets,
        LinkStat::TxPackets,
        LinkStat::RxBytes,
        LinkStat::TxBytes,
        LinkStat::RxErrors,
        LinkStat::TxErrors,
        LinkStat::RxDropped,
        LinkStat::TxDropped,
        LinkStat::Multicast,
        LinkStat::Collisions,
        LinkStat::RxLengthErrors,
        LinkStat::RxOverErrors,
        LinkStat::RxCrcErrors,
        LinkStat::RxFrameErrors,
        LinkStat::RxFifoErrors,
        LinkStat::RxMissedErrors,
        LinkStat::TxAbortedErrors,
        LinkStat::TxCarrierErrors,
        LinkStat::TxFifoErrors,
        LinkStat::TxHeartbeatErrors,
        LinkStat::TxWindowErrors,
        LinkStat::RxCompressed,
        LinkStat::TxCompressed,
        LinkStat::RxNohandler,
        LinkStat::RxOtherhostDropped,
    ];

    /// It is a detail of another counter, or no loss: a reading has it only once it counted something.
    pub fn is_detail(self) -> bool {
        !matches!(
            self,
            LinkStat::RxPackets
                | LinkStat::TxPackets
                | LinkStat::RxErrors
                | LinkStat::TxErrors
                | LinkStat::RxDropped
                | LinkStat::TxDropped
                | LinkStat::RxMissedErrors
                | LinkStat::RxOtherhostDropped
        )
    }

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            LinkStat::RxPackets => "rx_packets",
            LinkStat::TxPackets => "tx_packets",
            LinkStat::RxBytes => "rx_bytes",
            LinkStat::TxBytes => "tx_bytes",
            LinkStat::RxErrors => "rx_errors",
            LinkStat::TxErrors => "tx_errors",
            LinkStat::RxDropped => "rx_dropped",
            LinkStat::TxDropped => "tx_dropped",
            LinkStat::Multicast => "multicast",
            LinkStat::Collisions => "collisions",
            LinkStat::RxLengthErrors => "rx_length_errors",
            LinkStat::RxOverErrors => "rx_over_errors",
            LinkStat::RxCrcErrors => "rx_crc_errors",
            LinkStat::RxFrameErrors => "rx_frame_errors",
            LinkStat::RxFifoErrors => "rx_fifo_errors",
            LinkStat::RxMissedErrors => "rx_missed_errors",
            LinkStat::TxAbortedErrors => "tx_aborted_errors",
            LinkStat::TxCarrierErrors => "tx_carrier_errors",
            LinkStat::TxFifoErrors => "tx_fifo_errors",
            LinkStat::TxHeartbeatErrors => "tx_heartbeat_errors",
            LinkStat::TxWindowErrors => "tx_window_errors",
            LinkStat::RxCompressed => "rx_compressed",
            LinkStat::TxCompressed => "tx_compressed",
            LinkStat::RxNohandler => "rx_nohandler",
            LinkStat::RxOtherhostDropped => "rx_otherhost_dropped",
        }
    }
}

/// A counter of a CPU's queue of received packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CpuStat {
    /// Packets that were handled.
    Processed,
    /// Packets that were dropped because the queue was full (`netdev_max_backlog`).
    Dropped,
    /// Times that the budget was spent with packets left (`netdev_budget`).
    Squeezed,
}

/// A counter of a qdisc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QdiscStat {
    /// Packets that were sent.
    Packets,
    /// Packets that were dropped.
    Drops,
    /// Times that a packet waited for its turn.
    Overlimits,
}

/// A counter of filters of tc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilterStat {
    /// Packets that came to the filters, with those that they dropped.
    Packets,
    /// Packets that they dropped.
    Drops,
}

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IpVersion {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A netlink socket of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NetlinkSocket {
    /// `NETLINK_*`: 0 is rtnetlink, 12 nfnetlink (NFLOG).
    pub protocol: u32,
    /// The port; mostly the number of the process.
    pub port: u32,
    /// The inode of the socket, which no other has.
    pub inode: u64,
}

/// A rule that counts, or the policy of a base chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RuleKey {
    /// As `nft` names it: `ip`, `inet`, `bridge`. Of iptables-legacy `iptables` or `ip6tables`.
    pub family: Arc<str>,
    /// The table.
    pub table: Arc<str>,
    /// The chain.
    pub chain: Arc<str>,
    /// The handle of the rule, of iptables-legacy its number from 1; none for the policy.
    pub handle: Option<u64>,
}

impl RuleKey {
    /// It is of iptables-legacy.
    pub fn is_legacy(&self) -> bool {
        matches!(&*self.family, "iptables" | "ip6tables")
    }
}

impl Counter {
    /// A counter of a protocol.
    pub fn protocol(group: &str, name: &str) -> Self {
        Counter::Protocol(group.into(), name.into())
    }

    /// Whether the kernel counts it over all network namespaces.
    pub fn is_of_the_machine(&self) -> bool {
        match self {
            Counter::Cpu(..) | Counter::Neighbours(..) | Counter::RouteLookup(_) | Counter::DropReason(_) => {
                true
            }
            Counter::Protocol(..)
            | Counter::Link(..)
            | Counter::Qdisc(..)
            | Counter::Filters(..)
            | Counter::Conntrack(_)
            | Counter::NetlinkDrops(_)
            | Counter::QueueDrops(_)
            | Counter::Rule(_) => false,
        }
    }

    /// Whether the kernel keeps or shows it with 32 bits on some machines, so that it wraps.
    pub fn may_wrap(&self) -> bool {
        match self {
            Counter::Cpu(..)
            | Counter::Qdisc(..)
            | Counter::Filters(..)
            | Counter::Conntrack(_)
            | Counter::Neighbours(..)
            | Counter::RouteLookup(_)
            | Counter::NetlinkDrops(_)
            | Counter::QueueDrops(_) => true,
            Counter::Protocol(..) | Counter::Link(..) | Counter::Rule(_) | Counter::DropReason(_) => false,
        }
    }

    /// The interface that it belongs to.
    pub fn link(&self) -> Option<LinkName> {
        match self {
            Counter::Link(link, _) | Counter::Qdisc(link, _) | Counter::Filters(link, _) => Some(*link),
            Counter::Protocol(..)
            | Counter::Cpu(..)
            | Counter::Conntrack(_)
            | Counter::Neighbours(..)
            | Counter::RouteLookup(_)
            | Counter::NetlinkDrops(_)
            | Counter::QueueDrops(_)
            | Counter::Rule(_)
            | Counter::DropReason(_) => None,
        }
    }
}

/// As the kernel and its tools name it.
impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Counter::Protocol(group, name) => write!(f, "{group}: {name}"),
            Counter::Link(link, stat) => write!(f, "{} of {link}", stat.name()),
            Counter::Cpu(cpu, stat) => {
                let stat = match stat {
                    CpuStat::Processed => "processed",
                    CpuStat::Dropped => "dropped",
                    CpuStat::Squeezed => "time_squeeze",
                };
                write!(f, "softnet {stat} of CPU {cpu}")
            }
            Counter::Qdisc(link, stat) => {
                let stat = match stat {
                    QdiscStat::Packets => "packets",
                    QdiscStat::Drops => "drops",
                    QdiscStat::Overlimits => "overlimits",
                };
                write!(f, "qdisc {stat} of {link}")
            }
            Counter::Filters(link, stat) => {
                let stat = match stat {
                    FilterStat::Packets => "packets",
                    FilterStat::Drops => "drops",
                };
                write!(f, "tc filter {stat} of {link}")
            }
            Counter::Conntrack(name) => write!(f, "nf_conntrack {name}"),
            Counter::Neighbours(IpVersion::Ipv4, name) => write!(f, "arp_cache {name}"),
            Counter::Neighbours(IpVersion::Ipv6, name) => write!(f, "ndisc_cache {name}"),
            Counter::RouteLookup(name) => write!(f, "rt_cache {name}"),
            Counter::NetlinkDrops(socket) => {
                write!(f, "drops of netlink {} port {}", socket.protocol, socket.port)
            }
            Counter::QueueDrops(number) => write!(f, "drops of NFQUEUE {number}"),
            Counter::Rule(key) => key.fmt(f),
            Counter::DropReason(reason) => write!(f, "drop reason {reason}"),
        }
    }
}

impl fmt::Display for RuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.handle {
            Some(handle) => write!(f, "rule handle {handle} of ")?,
            None => f.write_str("policy of ")?,
        }
        write!(f, "{} {} {}", self.family, self.table, self.chain)
    }
}
