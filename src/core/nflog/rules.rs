//! The rules that the kernel should hold for an entry, and their text form.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::name::link::LinkName;
use crate::nflog::entry_name::Rate;

/// The rules of an entry: one for each family and interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// ICMPv6 type 2 code 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Part>,
}

/// The rules of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl FromStr for Rules {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(
                ErrorKind::Unreadable,
                format!("`{text}` are not rules of netkeel"),
            )
        };
        let mut sections = text.split(", ");
        let mut head = Words(sections.next().ok_or_else(wrong)?.split(' '));
        let (mut group, mut snaplen, mut queue_threshold) = (None, None, None);
        let (mut per_second, mut burst) = (None, None);
        while let Some((word, value)) = head.pair() {
            match word {
                "group" => group = value.parse().ok(),
                "snaplen" => snaplen = value.parse().ok(),
                "queue-threshold" => queue_threshold = value.parse().ok(),
                "rate" => per_second = value.strip_suffix("/second").and_then(|rate| rate.parse().ok()),
                "burst" => burst = value.parse().ok(),
                _ => return Err(wrong()),
            }
        }
        let mut rules = Rules {
            group: group.ok_or_else(wrong)?,
            snaplen: snaplen.ok_or_else(wrong)?,
            queue_threshold: queue_threshold.ok_or_else(wrong)?,
            rate: per_second
                .zip(burst)
                .map(|(per_second, burst)| Rate { per_second, burst }),
            ipv4: None,
            ipv6: None,
        };
        for section in sections {
            let (family, words) = section.split_once(' ').ok_or_else(wrong)?;
            let part = Part::read(words).ok_or_else(wrong)?;
            match family {
                "icmp" => rules.ipv4 = Some(part),
                "icmpv6" => rules.ipv6 = Some(part),
                _ => return Err(wrong()),
            }
        }
        Ok(rules)
    }
}

impl Part {
    fn read(text: &str) -> Option<Part> {
        let mut part = Part::default();
        let mut words = Words(text.split(' '));
        while let Some((word, value)) = words.pair() {
            match word {
                "on" => {
                    part.interfaces.insert(value.parse().ok()?);
                }
                "except" => {
                    part.ignore_sources.insert(value.parse().ok()?);
                }
                "min-mtu" => part.min_mtu = Some(value.parse().ok()?),
                "max-mtu" => part.max_mtu = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        Some(part)
    }
}

/// Keywords and their values.
struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn pair(&mut self) -> Option<(&'a str, &'a str)> {
        Some((self.0.next()?, self.0.next()?))
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
        assert_eq!(text.parse::<Rules>().unwrap(), rules);
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
        let text = rules.to_string();
        assert_eq!(text.parse::<Rules>().unwrap(), rules);
        for cut in 0..text.len() {
            let _ = text[..cut].parse::<Rules>();
        }
        assert!("none".parse::<Rules>().is_err());
    }
}
