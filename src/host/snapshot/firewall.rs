//! The rules of the firewall that can drop a packet: as much of nftables, and of iptables-nft, as judges a known
//! packet. Comments of rules, sets and their elements are not kept.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counters::counter::RuleKey;
use crate::snapshot::forwarding::Family;

/// Rules that are kept. Of a larger firewall none are kept: part of it would judge packets wrongly.
pub const MOST_RULES: usize = 8_192;

/// The firewall of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Firewall {
    /// The chains that see packets of IP, and those that their rules lead to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<Chain>,
    /// The families for which rules change the destination of packets that arrive.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub translates: BTreeSet<Family>,
    /// Those of them for which the rules may change the destination of IP in IP too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub translates_tunnels: BTreeSet<Family>,
    /// The services of IPVS, which takes their packets at the end of INPUT and sends them elsewhere.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ipvs: BTreeSet<IpvsService>,
    /// Parts that were not read, each with the reason. Their rules are unknown.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<Arc<str>>,
}

/// A service of IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct IpvsService {
    /// Its address.
    pub address: IpAddr,
    /// The protocol above IP.
    pub protocol: u8,
    /// The port; 0 for all ports.
    pub port: u16,
}

impl IpvsService {
    /// Whether packets to its address are the service's.
    pub fn takes(&self, protocol: u8, port: u16) -> bool {
        self.protocol == protocol && (self.port == 0 || self.port == port)
    }
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FirewallChain")]
pub struct Chain {
    /// As nft names it: `ip`, `ip6` or `inet`.
    pub family: Arc<str>,
    /// The table.
    pub table: Arc<str>,
    /// The chain.
    pub name: Arc<str>,
    /// The place of a chain that the kernel calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The rules that end the way of a packet or send it to another chain, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// The place of a chain that the kernel calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BaseChain")]
pub struct Base {
    /// The hook.
    pub hook: Hook,
    /// The kernel calls the chain with the smallest number first.
    pub priority: i32,
    /// The policy drops.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drops: bool,
}

/// A place on the way of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "FirewallHook")]
pub enum Hook {
    /// All packets that arrive.
    Prerouting,
    /// Packets for this host.
    Input,
    /// Packets for others.
    Forward,
    /// Packets of this host.
    Output,
    /// All packets that leave.
    Postrouting,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FirewallRule")]
pub struct Rule {
    /// The handle of nftables.
    pub handle: u64,
    /// The conditions; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The fate of a packet for which they hold.
    pub then: Then,
}

/// The fate of a packet that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "FirewallVerdict")]
pub enum Then {
    /// This base chain lets it through.
    Accept,
    /// It is dropped without an answer.
    Drop,
    /// It is dropped with an answer to its sender.
    Reject,
    /// It goes on in the calling chain.
    Return,
    /// It goes through this chain and comes back.
    Jump(Arc<str>),
    /// It goes through this chain, and then on in the calling chain.
    Goto(Arc<str>),
    /// Its connection is not tracked.
    Untrack,
    /// A part that netkeel does not know decides, by its name: a verdict map, a queue of a program.
    Unknown(Arc<str>),
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FirewallCondition")]
pub struct Condition {
    /// The test.
    #[serde(flatten)]
    pub test: Test,
    /// The condition holds where the test fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
}

/// A test of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "FirewallTest")]
pub enum Test {
    /// It arrived on this interface; a `*` at the end is for any more of the name.
    In(Arc<str>),
    /// It leaves by this interface; a `*` at the end is for any more of the name.
    Out(Arc<str>),
    /// The IP version.
    Family(Family),
    /// The protocol above IP: 4 and 41 are IP in IP, 6 is TCP.
    Protocol(u8),
    /// The source.
    Source(#[schemars(with = "String")] IpNet),
    /// The destination.
    Destination(#[schemars(with = "String")] IpNet),
    /// The source port is within these.
    SourcePort([u16; 2]),
    /// The destination port is within these.
    DestinationPort([u16; 2]),
    /// The state of its connection is one of these.
    State(BTreeSet<ConnectionState>),
    /// The flags of TCP under a mask.
    TcpFlags {
        /// The flags that are looked at.
        mask: u8,
        /// The value that they have.
        value: u8,
    },
    /// A test that netkeel does not know, by its name: a set, a limit, a mark.
    Unknown(Arc<str>),
}

/// The state of a connection in connection tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionState {
    /// It fits no connection.
    Invalid,
    /// The first packet, or a repetition of it.
    New,
    /// Both sides have sent.
    Established,
    /// It belongs to another connection, such as an ICMP error.
    Related,
    /// It is not tracked.
    Untracked,
}

impl ConnectionState {
    /// All.
    pub const ALL: [ConnectionState; 5] = [
        ConnectionState::Invalid,
        ConnectionState::New,
        ConnectionState::Established,
        ConnectionState::Related,
        ConnectionState::Untracked,
    ];

    /// Its bit in the conditions of nftables and iptables (NF_CT_STATE_BIT,
    /// include/uapi/linux/netfilter/nf_conntrack_common.h).
    pub fn bit(self) -> u32 {
        match self {
            ConnectionState::Invalid => 1,
            ConnectionState::Established => 1 << 1,
            ConnectionState::Related => 1 << 2,
            ConnectionState::New => 1 << 3,
            ConnectionState::Untracked => 1 << 6,
        }
    }

    /// Those whose bits are set.
    pub fn of_bits(bits: u32) -> BTreeSet<Self> {
        let set = ConnectionState::ALL.into_iter();
        set.filter(|state| bits & state.bit() != 0).collect()
    }
}

impl Chain {
    /// Whether it sees packets of a family.
    pub fn sees(&self, family: Family) -> bool {
        matches!(
            (&*self.family, family),
            ("inet", _) | ("ip", Family::Ipv4) | ("ip6", Family::Ipv6)
        )
    }

    /// The name of one of its rules, or of its policy.
    pub fn key(&self, handle: Option<u64>) -> RuleKey {
        RuleKey {
            family: self.family.clone(),
            table: self.table.clone(),
            chain: self.name.clone(),
            handle,
        }
    }
}

impl Firewall {
    /// A chain of a table.
    pub fn chain(&self, family: &str, table: &str, name: &str) -> Option<&Chain> {
        let mut chains = self.chains.iter();
        chains.find(|chain| (&*chain.family, &*chain.table, &*chain.name) == (family, table, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_stored_and_read_back() {
        let condition = |test, not| Condition { test, not };
        let rule = Rule {
            handle: 7,
            conditions: vec![
                condition(Test::In("eth*".into()), true),
                condition(Test::Source("192.0.2.0/24".parse().unwrap()), false),
                condition(Test::State(ConnectionState::of_bits(0b1010)), false),
                condition(Test::TcpFlags { mask: 23, value: 2 }, false),
                condition(Test::Unknown("lookup".into()), false),
            ],
            then: Then::Jump("next".into()),
        };
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), rule);
        assert!(text.contains(r#"{"state":["new","established"]}"#), "{text}");
        assert!(text.contains(r#"{"in":"eth*","not":true}"#), "{text}");
    }
}
