//! A source of counters that could not be read: its counters are unknown, never zero.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A source that was not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Unread {
    /// The source.
    pub source: Source,
    /// The kernel does not have it here, such as connection tracking without its module. Nothing failed.
    pub absent: bool,
    /// The reason.
    pub why: String,
}

/// A source of counters or of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "CounterSource")]
pub enum Source {
    /// /proc/net/snmp.
    Snmp,
    /// /proc/net/snmp6.
    Snmp6,
    /// /proc/net/netstat.
    Netstat,
    /// /proc/net/xfrm_stat.
    Xfrm,
    /// /proc/net/softnet_stat.
    Softnet,
    /// /proc/net/stat/nf_conntrack.
    Conntrack,
    /// /proc/net/stat/arp_cache.
    ArpCache,
    /// /proc/net/stat/ndisc_cache.
    NdiscCache,
    /// /proc/net/stat/rt_cache.
    RouteLookup,
    /// /proc/net/netlink.
    Netlink,
    /// /proc/net/netfilter/nfnetlink_queue.
    Queues,
    /// The statistics of the interfaces.
    Links,
    /// The statistics of the qdiscs.
    Qdiscs,
    /// The rules and policies of nftables, which those of `iptables-nft` are too.
    Nftables,
    /// The rules of iptables-legacy.
    Iptables,
    /// The neighbours.
    Neighbours,
    /// The path MTUs that the kernel learned.
    PathMtus,
    /// The settings that tell look-alikes apart, such as `net.ipv4.ip_forward`.
    Settings,
    /// The drop reasons of the tracepoint `skb:kfree_skb`.
    DropReasons,
}

impl Source {
    /// All, in their order.
    pub const ALL: [Source; 19] = [
        Source::Snmp,
        Source::Snmp6,
        Source::Netstat,
        Source::Xfrm,
        Source::Softnet,
        Source::Conntrack,
        Source::ArpCache,
        Source::NdiscCache,
        Source::RouteLookup,
        Source::Netlink,
        Source::Queues,
        Source::Links,
        Source::Qdiscs,
        Source::Nftables,
        Source::Iptables,
        Source::Neighbours,
        Source::PathMtus,
        Source::Settings,
        Source::DropReasons,
    ];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Source::Snmp => "/proc/net/snmp",
            Source::Snmp6 => "/proc/net/snmp6",
            Source::Netstat => "/proc/net/netstat",
            Source::Xfrm => "xfrm_stat (IPsec)",
            Source::Softnet => "softnet_stat",
            Source::Conntrack => "connection tracking",
            Source::ArpCache => "IPv4 neighbour table",
            Source::NdiscCache => "IPv6 neighbour table",
            Source::RouteLookup => "rt_cache (martians)",
            Source::Netlink => "netlink sockets",
            Source::Queues => "NFQUEUE",
            Source::Links => "interfaces",
            Source::Qdiscs => "qdiscs",
            Source::Nftables => "nftables rules",
            Source::Iptables => "iptables-legacy rules",
            Source::Neighbours => "neighbours",
            Source::PathMtus => "learned path MTUs",
            Source::Settings => "settings",
            Source::DropReasons => "drop reasons",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_has_every_source() {
        assert!(Source::ALL.is_sorted_by(|one, next| one < next));
        assert_eq!(Source::ALL.len(), Source::DropReasons as usize + 1);
    }
}
