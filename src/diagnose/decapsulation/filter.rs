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
    /// The sender gets an answer.
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
mod tests;
