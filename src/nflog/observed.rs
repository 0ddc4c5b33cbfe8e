//! What a host was seen to hand to NFLOG groups: netkeel's rules, those of others, and who reads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EntryName;
use crate::link_name::LinkName;
use crate::op::Quoted;
use crate::snapshot::Support;

/// What was seen in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Nflog")]
pub struct Observed {
    /// Whether the kernel has nftables.
    pub support: Support,
    /// netkeel's rules by entry, as the line of text that says them; other text where somebody has
    /// changed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<EntryName, Arc<str>>,
    /// Rules of others that hand path MTU messages to a group, in the order in which they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<ForeignRule>,
    /// What others have put into netkeel's own table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<Arc<str>>,
    /// Who has bound which group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub listeners: BTreeMap<u16, Listener>,
}

/// The text of an entry whose rules are there and are not as netkeel writes them.
pub const CHANGED: &str = "changed by somebody else";

/// The text where an entry has no rules.
pub const NONE: &str = "none";

/// A rule of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ForeignRule {
    /// Which program's.
    pub writer: Writer,
    /// The family as nft names it: `ip`, `ip6` or `inet`.
    pub family: Arc<str>,
    /// Its table.
    pub table: Arc<str>,
    /// Its chain.
    pub chain: Arc<str>,
    /// Where it stands in the chain, counted from 1.
    pub position: u32,
    /// The group it logs to.
    pub group: u16,
    /// Packets that come in by these.
    pub interfaces: Interfaces,
    /// It logs ICMP type 3 code 4.
    pub ipv4: bool,
    /// It logs ICMPv6 type 2 code 0.
    pub ipv6: bool,
    /// It logs all of them, but for those of sources that it leaves out.
    pub whole: bool,
    /// The rule, as iptables-save(8) or nft(8) print it.
    pub text: Arc<str>,
    /// What it takes to make it again; only of rules that can be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// A rule in the kernel's bytes, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ForeignRuleContent")]
pub struct Content {
    /// Its expressions (NFTA_RULE_EXPRESSIONS), counters without their counts.
    pub expressions: Arc<str>,
    /// The protocol that extensions of iptables in it are told of (NFTA_RULE_COMPAT), where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// What its writer noted (NFTA_RULE_USERDATA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userdata: Option<Arc<str>>,
}

/// By what a rule was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Writer {
    /// iptables-nft or ip6tables-nft.
    IptablesNft,
    /// iptables-legacy or ip6tables-legacy.
    IptablesLegacy,
    /// nft, or a program that speaks nftables.
    Nft,
}

/// Which interfaces a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Interfaces {
    /// All.
    All,
    /// One, by name.
    Named(LinkName),
    /// All that begin so.
    Prefix(Arc<str>),
}

/// Who reads a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// Its netlink port; the id of the process, for the first socket of most.
    pub port: u32,
    /// The program, where the process can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

impl Interfaces {
    /// The rule is for packets of an interface.
    pub fn cover(&self, name: LinkName) -> bool {
        match self {
            Interfaces::All => true,
            Interfaces::Named(own) => *own == name,
            Interfaces::Prefix(prefix) => name.as_bytes().starts_with(prefix.as_bytes()),
        }
    }
}

impl Observed {
    /// Nothing is there.
    pub fn empty(support: Support) -> Self {
        Observed {
            support,
            entries: BTreeMap::new(),
            others: Vec::new(),
            strangers: Vec::new(),
            listeners: BTreeMap::new(),
        }
    }

    /// Takes rules of others away; those behind them move up.
    pub fn remove(&mut self, gone: &[ForeignRule]) {
        for rule in gone {
            let Some(at) = self.others.iter().position(|other| other.is_the_same(rule)) else {
                continue;
            };
            let old = self.others.remove(at);
            for other in self.others.iter_mut().filter(|other| other.is_beside(&old)) {
                if other.position > old.position {
                    other.position -= 1;
                }
            }
        }
    }

    /// Puts rules of others back that are not there; those that stand there now move down.
    pub fn restore(&mut self, back: &[ForeignRule]) {
        let mut there = self.others.clone();
        for rule in back {
            if let Some(at) = there.iter().position(|other| other.is_the_same(rule)) {
                there.remove(at);
                continue;
            }
            for other in self.others.iter_mut().filter(|other| other.is_beside(rule)) {
                if other.position >= rule.position {
                    other.position += 1;
                }
            }
            self.others.push(rule.clone());
        }
        self.sort();
    }

    /// Puts the rules of others in one order, whoever lists them.
    pub fn sort(&mut self) {
        self.others.sort();
    }

    /// The rules of others that log to a group and that can be taken away: as the value of a fact.
    pub fn removable(&self, group: u16) -> Arc<str> {
        let rules: Vec<&ForeignRule> = self
            .others
            .iter()
            .filter(|rule| rule.content.is_some() && rule.group == group)
            .collect();
        match serde_json::to_string(&rules) {
            Ok(text) if !rules.is_empty() => text.into(),
            _ => NONE.into(),
        }
    }
}

impl ForeignRule {
    /// The interface it is for, when it is one.
    pub fn interface(&self) -> Option<LinkName> {
        match self.interfaces {
            Interfaces::Named(name) => Some(name),
            _ => None,
        }
    }

    /// It stands in the same chain.
    pub fn is_beside(&self, other: &ForeignRule) -> bool {
        let chain = |rule: &ForeignRule| {
            let ForeignRule {
                writer,
                family,
                table,
                chain,
                ..
            } = rule.clone();
            (writer, family, table, chain)
        };
        chain(self) == chain(other)
    }

    /// It says the same in the same chain, wherever in it.
    pub fn is_the_same(&self, other: &ForeignRule) -> bool {
        self.is_beside(other) && self.text == other.text && self.content == other.content
    }

    /// The rules that the value of a fact holds; none in text that is no such value.
    pub fn read_all(text: &str) -> Vec<ForeignRule> {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The command of iptables that does something with it: `-D` and the rule, or `-I` and the place.
    pub fn command(&self, verb: Verb) -> String {
        let program = match (self.writer, &*self.family) {
            (Writer::IptablesNft, "ip6") => "ip6tables-nft",
            (Writer::IptablesNft, _) => "iptables-nft",
            (Writer::IptablesLegacy, "ip6") => "ip6tables-legacy",
            (Writer::IptablesLegacy, _) => "iptables-legacy",
            (Writer::Nft, _) => {
                let (table, chain) = (Quoted(&self.table), Quoted(&self.chain));
                return format!("nft -a list chain {} {table} {chain}", self.family);
            }
        };
        let ForeignRule {
            table,
            chain,
            position,
            text,
            ..
        } = self;
        match verb {
            Verb::Delete => format!("{program} -t {table} -D {chain} {text}"),
            Verb::Insert => format!("{program} -t {table} -I {chain} {position} {text}"),
        }
    }
}

/// What a command does with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Takes it away.
    Delete,
    /// Puts it where it was.
    Insert,
}

/// The rule as its program lists it, with the table.
impl fmt::Display for ForeignRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ForeignRule {
            writer,
            family,
            table,
            chain,
            text,
            ..
        } = self;
        match writer {
            Writer::Nft => write!(f, "nft: {family} {table} {chain} {text}"),
            Writer::IptablesNft | Writer::IptablesLegacy => {
                let program = self.command(Verb::Delete);
                let program = program.split(' ').next().unwrap_or_default();
                write!(f, "{program} -t {table} -A {chain} {text}")
            }
        }
    }
}
