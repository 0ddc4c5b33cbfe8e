//! The fate of a known packet in the rules of a firewall. A condition holds, fails, or cannot be judged: a drop that
//! depends on the last is possible, and never certain.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use netkeel_host::counters::counter::RuleKey;
use netkeel_host::snapshot::firewall::{Chain, Condition, ConnectionState, Firewall, Hook, Test, Then};
use netkeel_host::snapshot::forwarding::Family;

/// Chains that lead into each other (NFT_JUMP_STACK_SIZE, include/net/netfilter/nf_tables.h).
const DEPTH: usize = 16;

/// Rules that are judged for one packet. Jumps whose conditions cannot be judged multiply.
const MOST: usize = 200_000;

/// A packet, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) family: Family,
    pub(super) protocol: u8,
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    /// The ports of TCP; of another protocol none.
    pub(super) ports: Ports,
    /// The interfaces by which it may have arrived; none for one that this host sends.
    pub(super) arrives: Interfaces,
    /// The interfaces by which it may leave; none for one that this host takes.
    pub(super) leaves: Interfaces,
    /// The states that its connection may have.
    pub(super) states: BTreeSet<ConnectionState>,
    /// The flags of TCP.
    pub(super) flags: Option<u8>,
}

/// The interfaces by which a packet may go. It goes by one of them, and an empty set says that it is not known by
/// which. `None` is for a packet that goes by none.
pub(super) type Interfaces = Option<BTreeSet<Arc<str>>>;

/// The ports of a packet, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ports {
    pub(super) source: Option<u16>,
    pub(super) destination: Option<u16>,
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// The rule or policy that drops the packet, if one does for certain.
    pub(super) drops: Option<Dropped>,
    /// The rules and policies that may drop it, with what decides and cannot be judged.
    pub(super) may_drop: BTreeMap<RuleKey, Why>,
    /// There are too many rules to judge.
    pub(super) is_too_much: bool,
}

/// A rule or policy that drops a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) rule: RuleKey,
    /// The sender is told.
    pub(super) rejects: bool,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Unknown,
}

/// Where a packet is after a chain.
enum End {
    /// It was accepted, or dropped.
    Ended,
    /// It goes on in the calling chain, or may do so.
    Back,
}

/// The priority of the connection tracking (NF_IP_PRI_CONNTRACK, include/uapi/linux/netfilter_ipv4.h).
const TRACKING: i32 = -200;

/// Judges a packet at a hook: the chains that the kernel calls there within these priorities.
pub(super) fn judge(
    firewall: &Firewall,
    hook: Hook,
    priorities: std::ops::RangeInclusive<i32>,
    packet: &mut Packet,
) -> Fate {
    let mut chains: Vec<(i32, bool, &Chain)> = firewall
        .chains
        .iter()
        .filter(|chain| chain.sees(packet.family))
        .filter_map(|chain| {
            let base = chain.base.as_ref()?;
            let is_called = base.hook == hook && priorities.contains(&base.priority);
            is_called.then_some((base.priority, base.drops, chain))
        })
        .collect();
    chains.sort_by_key(|(priority, ..)| *priority);
    let mut walk = Walk {
        firewall,
        packet,
        found: Fate::default(),
        escaped: Why::new(),
        left: MOST,
        is_tracked: false,
    };
    for (priority, policy_drops, chain) in chains {
        // To be accepted by one base chain is not to be accepted by the next one.
        walk.escaped.clear();
        walk.is_tracked = priority > TRACKING || !matches!(hook, Hook::Prerouting | Hook::Output);
        if let End::Back = walk.chain(chain, &Why::new(), 0)
            && policy_drops
        {
            walk.drop(chain.key(None), false, Why::new());
        }
        if walk.found.drops.is_some() || walk.found.is_too_much {
            break;
        }
    }
    walk.found
}

/// Why something is only possible: the parts that cannot be judged. Empty for what is certain.
type Why = BTreeSet<Arc<str>>;

struct Walk<'a> {
    firewall: &'a Firewall,
    packet: &'a mut Packet,
    found: Fate,
    /// Why the packet may have been accepted before in this base chain.
    escaped: Why,
    left: usize,
    /// The connection tracking has seen the packet.
    is_tracked: bool,
}

impl Walk<'_> {
    /// Walks a chain. `perhaps` is why the packet may not come here.
    fn chain(&mut self, chain: &Chain, perhaps: &Why, depth: usize) -> End {
        // Why the packet may have gone back to the calling chain before.
        let mut gone = Why::new();
        for rule in &chain.rules {
            let Some(left) = self.left.checked_sub(1) else {
                self.found.is_too_much = true;
                // Nothing is certain from here on.
                self.escaped.insert("too many rules".into());
                return End::Ended;
            };
            self.left = left;
            let Some(unknown) = unjudged(&rule.conditions, self.packet, self.is_tracked) else {
                continue;
            };
            let is_certain = unknown.is_empty();
            let why: Why = unknown.iter().chain(perhaps).chain(&gone).cloned().collect();
            // A packet that is still here ends, and one that went back does not.
            let end = |gone: &Why| match gone.is_empty() {
                true => End::Ended,
                false => End::Back,
            };
            match &rule.then {
                Then::Accept => {
                    self.escaped.extend(why);
                    if is_certain {
                        return end(&gone);
                    }
                }
                Then::Drop | Then::Reject => {
                    self.drop(chain.key(Some(rule.handle)), rule.then == Then::Reject, why);
                    if is_certain {
                        return end(&gone);
                    }
                }
                Then::Return if is_certain => return End::Back,
                // The rest of this chain may not see it.
                Then::Return => gone.extend(unknown),
                Then::Jump(name) => {
                    let ended = self.jump(chain, name, &why, depth);
                    if let (End::Ended, true) = (ended, is_certain) {
                        return end(&gone);
                    }
                }
                Then::Goto(name) => match (self.jump(chain, name, &why, depth), is_certain) {
                    (End::Ended, true) => return end(&gone),
                    (End::Back, true) => return End::Back,
                    (End::Ended, false) => {}
                    (End::Back, false) => gone.extend(unknown),
                },
                Then::Untrack => self.untrack(&why),
                Then::Unknown(name) => {
                    let mut why = why;
                    why.insert(name.clone());
                    self.drop(chain.key(Some(rule.handle)), false, why.clone());
                    // It may accept, go back, or lead to a rule that switches tracking off.
                    self.untrack(&why);
                    self.escaped.extend(why);
                    gone.extend(unknown);
                    gone.insert(name.clone());
                }
            }
        }
        End::Back
    }

    /// Switches tracking off, which has no effect on a packet that is tracked (`nft_notrack_eval`,
    /// net/netfilter/nft_ct.c).
    fn untrack(&mut self, why: &Why) {
        if self.is_tracked {
            return;
        }
        if why.is_empty() && self.escaped.is_empty() {
            self.packet.states.clear();
        }
        self.packet.states.insert(ConnectionState::Untracked);
    }

    fn jump(&mut self, from: &Chain, name: &str, perhaps: &Why, depth: usize) -> End {
        let target = self.firewall.chain(&from.family, &from.table, name);
        match target {
            Some(chain) if depth < DEPTH => self.chain(chain, perhaps, depth + 1),
            // The kernel has no such rules; a snapshot that was edited may.
            _ => {
                self.escaped.insert(name.into());
                End::Back
            }
        }
    }

    fn drop(&mut self, rule: RuleKey, rejects: bool, mut why: Why) {
        why.extend(self.escaped.iter().cloned());
        match why.is_empty() {
            true => self.found.drops = Some(Dropped { rule, rejects }),
            false => self.found.may_drop.entry(rule).or_default().extend(why),
        }
    }
}

/// The conditions that cannot be judged; none if one fails.
fn unjudged(conditions: &[Condition], packet: &Packet, is_tracked: bool) -> Option<Why> {
    let mut unknown = Why::new();
    for condition in conditions {
        match (test(&condition.test, packet, is_tracked), condition.not) {
            (Holds::Yes, false) | (Holds::No, true) => {}
            (Holds::No, false) | (Holds::Yes, true) => return None,
            (Holds::Unknown, _) => drop(unknown.insert(name(&condition.test))),
        }
    }
    Some(unknown)
}

fn test(test: &Test, packet: &Packet, is_tracked: bool) -> Holds {
    match test {
        Test::In(pattern) => interface(pattern, &packet.arrives),
        Test::Out(pattern) => interface(pattern, &packet.leaves),
        Test::Family(family) => certain(*family == packet.family),
        Test::Protocol(protocol) => certain(*protocol == packet.protocol),
        Test::Source(net) => known(packet.source, |address| net.contains(&address)),
        Test::Destination(net) => known(packet.destination, |address| net.contains(&address)),
        Test::SourcePort(range) => port(range, packet.ports.source, packet),
        Test::DestinationPort(range) => port(range, packet.ports.destination, packet),
        // Before the tracking, a packet has no connection, which is the state "invalid" (`nft_ct_get_eval`,
        // net/netfilter/nft_ct.c).
        Test::State(states) => of_all(packet.states.iter().map(|state| match (state, is_tracked) {
            (ConnectionState::Untracked, _) | (_, true) => states.contains(state),
            (_, false) => states.contains(&ConnectionState::Invalid),
        })),
        Test::TcpFlags { mask, value } => known(packet.flags, |flags| flags & mask == *value),
        Test::Unknown(_) => Holds::Unknown,
    }
}

/// The part of a condition, for people.
fn name(test: &Test) -> Arc<str> {
    match test {
        Test::In(name) => format!("arrival on {name}").into(),
        Test::Out(name) => format!("leaving by {name}").into(),
        Test::Family(_) => "IP version".into(),
        Test::Protocol(_) => "protocol".into(),
        Test::Source(net) => format!("source {net}").into(),
        Test::Destination(net) => format!("destination {net}").into(),
        Test::SourcePort(_) => "source port".into(),
        Test::DestinationPort(_) => "destination port".into(),
        Test::State(_) => "state of the connection".into(),
        Test::TcpFlags { .. } => "TCP flags".into(),
        Test::Unknown(name) => name.clone(),
    }
}

fn certain(holds: bool) -> Holds {
    match holds {
        true => Holds::Yes,
        false => Holds::No,
    }
}

fn known<T>(value: Option<T>, holds: impl FnOnce(T) -> bool) -> Holds {
    value.map_or(Holds::Unknown, |value| certain(holds(value)))
}

/// A test that all of some possible values pass, or fail.
fn of_all(results: impl Iterator<Item = bool>) -> Holds {
    let results: BTreeSet<bool> = results.collect();
    match (results.contains(&true), results.contains(&false)) {
        (true, false) => Holds::Yes,
        (true, true) => Holds::Unknown,
        (false, _) => Holds::No,
    }
}

/// Without an interface, a condition on it fails.
fn interface(pattern: &str, candidates: &Interfaces) -> Holds {
    let Some(candidates) = candidates else {
        return Holds::No;
    };
    if candidates.is_empty() {
        return Holds::Unknown;
    }
    of_all(candidates.iter().map(|name| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => **name == *pattern,
    }))
}

/// A packet without ports has bytes of another meaning there, which a rule without a condition on the protocol
/// would look at.
fn port(range: &[u16; 2], port: Option<u16>, packet: &Packet) -> Holds {
    const TCP: u8 = 6;
    match packet.protocol {
        TCP => known(port, |port| (range[0]..=range[1]).contains(&port)),
        _ => Holds::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn packet() -> Packet {
        Packet {
            family: Family::Ipv4,
            protocol: 6,
            source: "198.51.100.1".parse().ok(),
            destination: "203.0.113.9".parse().ok(),
            ports: Ports {
                source: None,
                destination: Some(80),
            },
            arrives: Some(["ipip0".into()].into()),
            leaves: None,
            states: [ConnectionState::New].into(),
            flags: Some(2),
        }
    }

    /// The fate of the packet in a base chain with these rules, and in a second chain.
    fn fate(drops: bool, rules: &[serde_json::Value], next: &[serde_json::Value]) -> String {
        let numbered = |rules: &[serde_json::Value]| -> Vec<serde_json::Value> {
            let mut rules = rules.to_vec();
            for (number, rule) in rules.iter_mut().enumerate() {
                rule["handle"] = (number + 1).into();
            }
            rules
        };
        let chains = json!({ "chains": [
            { "family": "inet", "table": "t", "name": "in", "rules": numbered(rules),
              "base": { "hook": "input", "priority": 0, "drops": drops } },
            { "family": "inet", "table": "t", "name": "next", "rules": numbered(next) },
        ]});
        let firewall: Firewall = serde_json::from_value(chains).unwrap();
        let fate = judge(&firewall, Hook::Input, i32::MIN..=i32::MAX, &mut packet());
        let may = fate.may_drop.iter().map(|(rule, why)| {
            let why: Vec<&str> = why.iter().map(AsRef::as_ref).collect();
            format!("; perhaps {rule} by {}", why.join(", "))
        });
        let drops = fate
            .drops
            .map_or("passes".to_owned(), |dropped| dropped.rule.to_string());
        format!("{drops}{}", may.collect::<String>())
    }

    fn rule(conditions: &[serde_json::Value], then: serde_json::Value) -> serde_json::Value {
        json!({ "conditions": conditions, "then": then })
    }

    #[test]
    fn known_conditions_decide() {
        let port = |number: u16| json!({ "destination-port": [number, number] });
        let established = json!({ "state": ["established", "related"] });
        let rules = |number| {
            [
                rule(std::slice::from_ref(&established), json!("accept")),
                rule(&[port(number)], json!("drop")),
            ]
        };
        assert_eq!(fate(false, &rules(80), &[]), "rule 2 of inet t in");
        assert_eq!(fate(false, &rules(81), &[]), "passes");
        assert_eq!(fate(true, &rules(81), &[]), "policy of inet t in");
        let accepts = [rule(&[port(80)], json!("accept"))];
        assert_eq!(fate(true, &accepts, &[]), "passes");
        let not_from = [rule(
            &[json!({ "source": "198.51.100.0/24", "not": true })],
            json!("drop"),
        )];
        assert_eq!(fate(false, &not_from, &[]), "passes");
        let elsewhere = [
            rule(&[json!({ "in": "eth*" })], json!("drop")),
            rule(&[json!({ "out": "eth0" })], json!("drop")),
        ];
        assert_eq!(fate(false, &elsewhere, &[]), "passes");
    }

    #[test]
    fn what_cannot_be_judged_makes_a_drop_possible_only() {
        let set = json!({ "unknown": "lookup" });
        let drops = [rule(std::slice::from_ref(&set), json!("drop"))];
        assert_eq!(
            fate(false, &drops, &[]),
            "passes; perhaps rule 1 of inet t in by lookup"
        );
        let accepts = [rule(std::slice::from_ref(&set), json!("accept"))];
        assert_eq!(
            fate(true, &accepts, &[]),
            "passes; perhaps policy of inet t in by lookup"
        );
        // Dropped by the one or by the other.
        assert_eq!(
            fate(true, &drops, &[]),
            "policy of inet t in; perhaps rule 1 of inet t in by lookup"
        );
        let map = [rule(&[], json!({ "unknown": "lookup" }))];
        assert_eq!(
            fate(false, &map, &[]),
            "passes; perhaps rule 1 of inet t in by lookup"
        );
        // A condition that fails is enough.
        let fails = [rule(&[set, json!({ "protocol": 17 })], json!("drop"))];
        assert_eq!(fate(false, &fails, &[]), "passes");
    }

    #[test]
    fn jumps_come_back_and_gotos_do_not() {
        let jump = |conditions: &[_]| {
            [
                rule(conditions, json!({ "jump": "next" })),
                rule(&[], json!("drop")),
            ]
        };
        let goto = |conditions: &[_]| {
            [
                rule(conditions, json!({ "goto": "next" })),
                rule(&[], json!("drop")),
            ]
        };
        assert_eq!(fate(false, &jump(&[]), &[]), "rule 2 of inet t in");
        assert_eq!(fate(false, &goto(&[]), &[]), "passes");
        let accept = [rule(&[], json!("accept"))];
        assert_eq!(fate(false, &jump(&[]), &accept), "passes");
        let set = [json!({ "unknown": "lookup" })];
        assert_eq!(
            fate(false, &jump(&set), &accept),
            "passes; perhaps rule 2 of inet t in by lookup"
        );
        assert_eq!(
            fate(false, &goto(&set), &[]),
            "passes; perhaps rule 2 of inet t in by lookup"
        );
        let set = &set[..];
        // A packet that went back is not accepted or dropped by the rest of the chain.
        let returns = |then: &str| [rule(set, json!("return")), rule(&[], json!(then))];
        let to = [rule(&[], json!({ "jump": "next" }))];
        assert_eq!(
            fate(true, &to, &returns("accept")),
            "passes; perhaps policy of inet t in by lookup"
        );
        assert_eq!(
            fate(true, &to, &returns("drop")),
            "policy of inet t in; perhaps rule 2 of inet t next by lookup"
        );
        assert_eq!(
            fate(true, &returns("accept"), &[]),
            "passes; perhaps policy of inet t in by lookup"
        );
        let to = |then: &str| [rule(set, json!({ "goto": "next" })), rule(&[], json!(then))];
        assert_eq!(
            fate(true, &to("accept"), &[]),
            "passes; perhaps policy of inet t in by lookup"
        );
        // Nobody comes back from there.
        assert_eq!(fate(true, &to("accept"), &accept), "passes");
        // A map of verdicts may go back too.
        let map = [
            rule(&[], json!({ "unknown": "lookup" })),
            rule(&[], json!("accept")),
        ];
        let jump = [rule(&[], json!({ "jump": "next" }))];
        assert!(fate(true, &jump, &map).contains("perhaps policy of inet t in by lookup"));
        let returns = [rule(&[], json!("return")), rule(&[], json!("drop"))];
        let jump = [rule(&[], json!({ "jump": "next" })), rule(&[], json!("drop"))];
        assert_eq!(fate(false, &jump, &returns), "rule 2 of inet t in");
        // A ring ends.
        let ring = [rule(&[], json!({ "jump": "next" }))];
        assert!(fate(false, &ring, &ring).starts_with("passes"));
    }
}
