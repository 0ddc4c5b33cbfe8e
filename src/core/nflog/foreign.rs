//! NFLOG rules found on a host that netkeel did not write.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::link::LinkName;
use crate::text::shell::Quoted;

/// A rule of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ForeignRule {
    /// The program that wrote it.
    pub writer: Writer,
    /// The family, named as nft does: `ip`, `ip6` or `inet`.
    pub family: Arc<str>,
    /// Its table.
    pub table: Arc<str>,
    /// Its chain.
    pub chain: Arc<str>,
    /// Its position in the chain, counted from 1.
    pub position: u32,
    /// The group it logs to.
    pub group: u16,
    /// The input interfaces that it matches.
    pub interfaces: Interfaces,
    /// It logs ICMP type 3 code 4.
    pub ipv4: bool,
    /// It logs ICMPv6 type 2, with code 0 at least, which senders set.
    pub ipv6: bool,
    /// It logs all of these messages, apart from those of sources in `ignored`.
    pub whole: bool,
    /// Sources whose messages it does not log (`! -s NET`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(with = "BTreeSet<String>")]
    pub ignored: BTreeSet<IpNet>,
    /// Maximum logged bytes of a message; 0 is all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub snaplen: u32,
    /// The rule as iptables-save(8) or nft(8) prints it.
    pub text: Arc<str>,
    /// The kernel's bytes to recreate it; present only for rules that netkeel can delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// A rule in the kernel's binary form, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ForeignRuleContent")]
pub struct Content {
    /// Its expressions (NFTA_RULE_EXPRESSIONS), with counters reset.
    pub expressions: Arc<str>,
    /// The protocol for iptables extensions in the rule (NFTA_RULE_COMPAT), if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// The comment or other data of its writer (NFTA_RULE_USERDATA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userdata: Option<Arc<str>>,
}

/// The program that wrote a rule.
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

/// The interfaces that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Interfaces {
    /// Every interface.
    All,
    /// One interface by name.
    Named(LinkName),
    /// Interfaces whose names begin with this prefix.
    Prefix(Arc<str>),
    /// Every interface but this one.
    Except(LinkName),
}

impl Interfaces {
    /// Whether the rule matches packets of an interface.
    pub fn cover(&self, name: LinkName) -> bool {
        match self {
            Interfaces::All => true,
            Interfaces::Named(own) => *own == name,
            Interfaces::Prefix(prefix) => name.as_bytes().starts_with(prefix.as_bytes()),
            Interfaces::Except(other) => *other != name,
        }
    }
}

impl ForeignRule {
    /// The interface, if the rule matches exactly one.
    pub fn interface(&self) -> Option<LinkName> {
        match self.interfaces {
            Interfaces::Named(name) => Some(name),
            _ => None,
        }
    }

    /// Whether both rules are in the same chain.
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

    /// Whether both rules have the same text in the same chain, at any position.
    pub fn is_the_same(&self, other: &ForeignRule) -> bool {
        self.is_beside(other) && self.text == other.text && self.content == other.content
    }

    /// Its family, table and chain, as nft takes them.
    fn place(&self) -> String {
        let (table, chain) = (Quoted(&self.table), Quoted(&self.chain));
        format!("{} {table} {chain}", self.family)
    }

    /// How an operator deletes it. nft deletes by a handle, which a list shows.
    pub fn removal(&self) -> String {
        let delete = self.command(Verb::Delete);
        match self.writer {
            Writer::Nft => format!(
                "{delete}, with the handle that `nft -a list chain {}` shows",
                self.place()
            ),
            Writer::IptablesNft | Writer::IptablesLegacy => delete,
        }
    }

    /// The command that deletes or inserts it. For nft, HANDLE is a placeholder for the handle of the rule.
    pub fn command(&self, verb: Verb) -> String {
        let program = match (self.writer, &*self.family) {
            (Writer::IptablesNft, "ip6") => "ip6tables-nft",
            (Writer::IptablesNft, _) => "iptables-nft",
            (Writer::IptablesLegacy, "ip6") => "ip6tables-legacy",
            (Writer::IptablesLegacy, _) => "iptables-legacy",
            (Writer::Nft, _) => {
                let place = self.place();
                return match verb {
                    Verb::Delete => format!("nft delete rule {place} handle HANDLE"),
                    Verb::Insert => format!("nft insert rule {place} {}", self.text),
                };
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

/// The action of a command on a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Deletes the rule.
    Delete,
    /// Inserts the rule at its previous position.
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

/// For serde: omit 0.
fn is_zero(value: &u32) -> bool {
    *value == 0
}
