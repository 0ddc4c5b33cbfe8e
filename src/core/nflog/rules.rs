//! The rules that the kernel should hold for an entry, and their text form.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::link::LinkName;
use crate::nflog::entry_name::Rate;

/// The rules of an entry: one for each family and interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Rules {
    /// The NFLOG group.
    pub group: u16,
    /// Maximum captured bytes of each packet.
    pub snaplen: u32,
    /// Packets that the kernel queues before it wakes the reader.
    pub queue_threshold: u16,
    /// The rate limit per source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// ICMP type 3 code 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Part>,
    /// ICMPv6 type 2 with any code: a receiver ignores it (RFC 4443, 3.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Part>,
}

/// The rules of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// The input interfaces; not empty.
    pub interfaces: BTreeSet<LinkName>,
    /// Sources whose packets are not logged.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub ignore_sources: BTreeSet<IpNet>,
    /// Smallest next-hop MTU in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_mtu: Option<u32>,
    /// Largest next-hop MTU in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mtu: Option<u32>,
}

impl Rules {
    /// The families that have rules; `true` is IPv6.
    pub fn parts(&self) -> impl Iterator<Item = (bool, &Part)> {
        let ipv4 = self.ipv4.iter().map(|part| (false, part));
        ipv4.chain(self.ipv6.iter().map(|part| (true, part)))
    }
}

/// Every value follows a keyword, so that no interface name is read as a keyword.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules {
            group,
            snaplen,
            queue_threshold,
            rate,
            ..
        } = self;
        write!(
            f,
            "group {group} snaplen {snaplen} queue-threshold {queue_threshold}"
        )?;
        if let Some(Rate { per_second, burst }) = rate {
            write!(f, " rate {per_second}/second burst {burst}")?;
        }
        for (ipv6, part) in self.parts() {
            let Part {
                interfaces,
                ignore_sources,
                min_mtu,
                max_mtu,
            } = part;
            f.write_str(if ipv6 { ", icmpv6" } else { ", icmp" })?;
            for name in interfaces {
                write!(f, " on {name}")?;
            }
            for net in ignore_sources {
                write!(f, " except {net}")?;
            }
            for (word, mtu) in [("min-mtu", min_mtu), ("max-mtu", max_mtu)] {
                if let Some(mtu) = mtu {
                    write!(f, " {word} {mtu}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_all_of_it() {
        let set = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect();
        let nets = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect();
        let mut rules = Rules {
            group: 33,
            snaplen: 1500,
            queue_threshold: 64,
            rate: None,
            ipv4: Some(Part {
                interfaces: set(&["eth0", "except"]),
                ignore_sources: nets(&["192.168.100.0/24"]),
                min_mtu: Some(576),
                max_mtu: None,
            }),
            ipv6: None,
        };
        let text = rules.to_string();
        assert_eq!(
            text,
            "group 33 snaplen 1500 queue-threshold 64, icmp on eth0 on except except 192.168.100.0/24 min-mtu 576"
        );
        rules.rate = Some(Rate {
            per_second: 10,
            burst: 20,
        });
        rules.ipv6 = Some(Part {
            interfaces: set(&["eth0"]),
            ignore_sources: nets(&["2001:db8::/64"]),
            min_mtu: None,
            max_mtu: Some(1499),
        });
        assert_eq!(
            rules.to_string(),
            "group 33 snaplen 1500 queue-threshold 64 rate 10/second burst 20, \
             icmp on eth0 on except except 192.168.100.0/24 min-mtu 576, \
             icmpv6 on eth0 except 2001:db8::/64 max-mtu 1499"
        );
    }
}
