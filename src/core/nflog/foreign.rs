//! What a host was seen to hand to NFLOG groups: netkeel's rules, those of others, and who reads.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::link::LinkName;
use crate::text::shell::Quoted;

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
