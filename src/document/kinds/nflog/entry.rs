//! An entry of `nflog`, and the rules that it results in.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use netkeel_core::name::link::LinkName;
use netkeel_core::nflog::entry_name::Rate;
use netkeel_core::nflog::rules::{Part, Rules};
use netkeel_core::text::glob::Glob;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::by_other_name;
use netkeel_source::span::Span;

/// Maximum number of interfaces in an entry. Each takes a rule per family, and a batch must fit
/// into a socket buffer.
pub(crate) const MOST_INTERFACES: usize = 32;

/// An entry of a document with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The input interfaces. A rule matches by name, so an interface that is created again is
    /// covered.
    pub interfaces: BTreeSet<LinkName>,
    /// The interfaces that differ between hosts, each as the document writes it.
    pub patterns: BTreeMap<String, Pattern>,
    /// The NFLOG group, 0 to 65535, to which the reader binds.
    pub group: u16,
    /// Sources whose packets are not logged.
    pub ignore_sources: BTreeSet<IpNet>,
    /// Maximum bytes of a packet that the reader gets.
    pub snaplen: u32,
    /// Packets that the kernel queues before it wakes the reader. The smaller of this value and the
    /// reader's own applies (`nfulnl_log_packet`, net/netfilter/nfnetlink_log.c).
    pub queue_threshold: u16,
    /// Packets that the kernel filters out before the reader gets them.
    pub prefilter: Prefilter,
    /// Remove the rules when the service stops.
    pub remove_on_stop: bool,
    /// The place in the document that demands each of its interfaces.
    pub required: Option<Span>,
    /// Replace other programs' rules that log the same packets; otherwise netkeel's rules skip
    /// those packets.
    pub adopt: bool,
}

/// Interfaces that are looked up on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Those of the default routes.
    DefaultRoute,
    /// Those whose names match.
    Glob(Glob),
    /// The one with this further name or alias, which is too long for the name of an interface.
    LongName(String),
}

impl Pattern {
    /// The interfaces on a host; `None` if they could not be read.
    pub(crate) fn find(&self, host: &Snapshot) -> Option<BTreeSet<LinkName>> {
        match self {
            Pattern::DefaultRoute => {
                let routes = host.default_routes.as_ref()?;
                Some(routes.iter().map(|route| route.link).collect())
            }
            Pattern::LongName(name) => Some(by_other_name(&host.links, name).into_iter().collect()),
            Pattern::Glob(glob) => {
                let names = host.links.keys().copied();
                Some(names.filter(|name| glob.matches(name.as_bytes())).collect())
            }
        }
    }
}

/// Filters that keep irrelevant packets from the reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefilter {
    /// Smallest next-hop MTU of an ICMP message, bytes.
    pub min_mtu: Option<u32>,
    /// Smallest next-hop MTU of an ICMPv6 message, bytes.
    pub min_mtu_ipv6: Option<u32>,
    /// Largest next-hop MTU of either, bytes.
    pub max_mtu: Option<u32>,
    /// Rate limit per source.
    pub rate: Option<Rate>,
}

impl Entry {
    /// The entry with the interfaces that it finds on a host.
    pub fn on(&self, host: &Snapshot) -> Entry {
        let mut entry = self.clone();
        let found = self.patterns.values().filter_map(|pattern| pattern.find(host));
        entry.interfaces = entry
            .interfaces
            .into_iter()
            .map(|name| host.resolve(name))
            .collect();
        entry.interfaces.extend(found.flatten());
        entry
    }

    /// The wanted rules. `is_left` selects the interfaces, per family, that another program already
    /// logs. None when no interface is left.
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
