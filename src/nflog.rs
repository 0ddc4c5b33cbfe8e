//! What the firewall hands to a program: the rules of an `nflog` entry as a document has them, and
//! resolved to what the kernel is to hold for each family.

mod command;
mod observed;
mod rules;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, ErrorKind};
use crate::from_text;
use crate::link_name::LinkName;
pub use command::{REMEMBERED, SOURCES};
pub use observed::{CHANGED, Content, ForeignRule, Interfaces, Listener, NONE, Observed, Verb, Writer};
pub use rules::{Part, Rules};

/// The family and the name of the table that is netkeel's.
pub const TABLE: &str = "netkeel";

/// What netkeel's own rules bear as their comment, by which they are told from those of others.
pub const MARK: &str = "netkeel";

/// Longest name of an entry in bytes: with what stands around it, a chain's name has at most 31
/// (NFT_CHAIN_MAXNAMELEN of kernels before 4.14, less the terminating zero).
const LONGEST: usize = 20;

/// The name of an entry: 1 to 20 lower-case letters, digits and dashes, the first one a letter, as
/// nft takes a name without quotes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct EntryName(Arc<str>);

impl FromStr for EntryName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
        if starts && text.len() <= LONGEST && text.chars().all(legal) {
            return Ok(EntryName(text.into()));
        }
        let shown = text.escape_debug();
        Err(
            Error::new(ErrorKind::Input, format!("`{shown}` cannot name a chain")).hint(format!(
                "a name has 1 to {LONGEST} lower-case letters, digits and dashes, and begins with a letter: packet-too-big"
            )),
        )
    }
}

impl EntryName {
    /// The name of the entry's chain.
    pub fn chain(&self) -> String {
        format!("nflog-{self}")
    }

    /// The entry that a chain belongs to.
    pub fn of_chain(chain: &str) -> Option<Self> {
        chain.strip_prefix("nflog-")?.parse().ok()
    }

    /// The name of the set in which the entry counts the sources of a family.
    pub fn set(&self, ipv6: bool) -> String {
        format!("nflog-{self}-{}", if ipv6 { "ipv6" } else { "ipv4" })
    }
}

from_text::schema_as_text!(EntryName, "EntryName");

impl<'de> Deserialize<'de> for EntryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text::deserialize(deserializer)
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

/// A rate for each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Packets a second.
    pub per_second: u32,
    /// Packets that may come at once beyond that.
    pub burst: u32,
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
