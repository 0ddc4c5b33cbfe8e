//! An entry of `nflog`, and the rules that it stands for.

use std::collections::BTreeSet;

use ipnet::IpNet;

use netkeel_core::name::link::LinkName;
use netkeel_core::nflog::entry_name::Rate;
use netkeel_core::nflog::rules::{Part, Rules};

/// An entry of a document, its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The interfaces that packets come in by. A rule goes by name, so that an interface that is
    /// made again is covered.
    pub interfaces: BTreeSet<LinkName>,
    /// The NFLOG group, 0 to 65535, that a program binds to read the packets.
    pub group: u16,
    /// Packets from here are not logged.
    pub ignore_sources: BTreeSet<IpNet>,
    /// How many bytes of a packet are handed over at most.
    pub snaplen: u32,
    /// How many packets the kernel gathers before it wakes the reader. The smaller one of this and
    /// of what the reader asks for counts (`nfulnl_log_packet`, net/netfilter/nfnetlink_log.c).
    pub queue_threshold: u16,
    /// What the kernel drops before the reader sees it.
    pub prefilter: Prefilter,
    /// The rules go when the service stops.
    pub remove_on_stop: bool,
    /// Rules of others that do the same are taken away; otherwise these stay away from them.
    pub adopt: bool,
}

/// What is not worth waking the reader for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefilter {
    /// Smallest next-hop MTU, bytes, that an ICMP message may tell.
    pub min_mtu: Option<u32>,
    /// The same of ICMPv6.
    pub min_mtu_ipv6: Option<u32>,
    /// Largest next-hop MTU, bytes, of either.
    pub max_mtu: Option<u32>,
    /// Messages of one source that are let through.
    pub rate: Option<Rate>,
}

impl Entry {
    /// What the kernel is to hold, where `left` names the interfaces of each family that somebody
    /// else logs already; none when nothing is left to do.
    pub fn rules(&self, is_left: impl Fn(LinkName, bool) -> bool) -> Option<Rules> {
        let part = |ipv6: bool| {
            let interfaces: BTreeSet<LinkName> = self
                .interfaces
                .iter()
                .copied()
                .filter(|name| !is_left(*name, ipv6))
                .collect();
            let ignored = |net: &&IpNet| matches!(net, IpNet::V6(_)) == ipv6;
            let prefilter = self.prefilter;
            (!interfaces.is_empty()).then(|| Part {
                interfaces,
                ignore_sources: self.ignore_sources.iter().filter(ignored).copied().collect(),
                min_mtu: if ipv6 {
                    prefilter.min_mtu_ipv6
                } else {
                    prefilter.min_mtu
                },
                max_mtu: prefilter.max_mtu,
            })
        };
        let (ipv4, ipv6) = (part(false), part(true));
        (ipv4.is_some() || ipv6.is_some()).then_some(Rules {
            group: self.group,
            snaplen: self.snaplen,
            queue_threshold: self.queue_threshold,
            rate: self.prefilter.rate,
            ipv4,
            ipv6,
        })
    }
}
