//! The policies of base chains and the rules that drop or reject packets, with their counts.
//! Those of iptables-nft are in the same tables.

use std::collections::BTreeMap;

use crate::netlink::message::{Attribute, Attributes, Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::nftables::moment;
use crate::nftables::moment::Dumps;
use crate::nftables::protocol::*;
use crate::nftables::protocol::{attributes, message_family, request};
use crate::nftables::ruleset;
use crate::nftables::ruleset::Chain;
use netkeel_host::counters::counter::RuleKey;
use netkeel_host::counters::reading::{Rule, RuleVerdict};

/// The bits of a verdict without the error that goes with it (NF_VERDICT_MASK).
const VERDICT_MASK: u32 = 0xff;

/// The policies and rules that drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drops {
    /// Those that count, with their packets.
    pub(crate) counted: BTreeMap<RuleKey, (Rule, u64)>,
    /// Those that do not: what they drop is unknown.
    pub(crate) uncounted: BTreeMap<RuleKey, Rule>,
}

/// Reads them in all tables that are switched on. None if the rules changed in each attempt: counts of several moments
/// may be of two rules with one handle.
pub(crate) fn read(socket: &mut Socket) -> Result<Option<Drops>, Refusal> {
    Ok(moment::read(socket, attempt_to_read)?.one())
}

fn attempt_to_read(dumps: &mut Dumps<'_>) -> Result<Drops, Refusal> {
    let mut drops = Drops::default();
    let dormant = dumps.dormant()?;
    let is_on = |message: &Message<'_>, key: &RuleKey| {
        !dormant.contains(&(message_family(message), key.table.to_string()))
    };
    let mut hooks = BTreeMap::new();
    dumps.dump(request(NFT_MSG_GETCHAIN, 0, libc::NLM_F_DUMP), |message| {
        let chain = ruleset::chain(message)?;
        hooks.extend(base(&chain));
        drops.add(policy(&chain, message)?.filter(|(key, ..)| is_on(message, key)));
        Ok(())
    })?;
    dumps.dump(request(NFT_MSG_GETRULE, 0, libc::NLM_F_DUMP), |message| {
        let found = rule(message)?.map(|found| at_hook(found, &hooks));
        drops.add(found.filter(|(key, ..)| is_on(message, key)));
        Ok(())
    })?;
    Ok(drops)
}

impl Drops {
    fn add(&mut self, found: Option<Found>) {
        match found {
            Some((key, rule, Some(packets))) => {
                self.counted.insert(key, (rule, packets));
            }
            Some((key, rule, None)) => {
                self.uncounted.insert(key, rule);
            }
            None => {}
        }
    }
}

/// A policy or rule that drops, and its count.
type Found = (RuleKey, Rule, Option<u64>);

/// The key of the policy of a chain that the kernel calls, and its hook.
fn base(chain: &Chain) -> Option<(RuleKey, &'static str)> {
    let (number, _) = chain.hook?;
    let key = key(chain.family, &chain.table, &chain.name, None);
    Some((key, hook_word(chain.family, number)))
}

/// Adds the hook of its chain to a rule.
fn at_hook((key, mut rule, packets): Found, hooks: &BTreeMap<RuleKey, &'static str>) -> Found {
    let chain = RuleKey {
        handle: None,
        ..key.clone()
    };
    rule.hook = hooks.get(&chain).map(|hook| (*hook).into());
    (key, rule, packets)
}

/// A chain whose policy drops. The kernel counts for a chain that was made with a count (as iptables-restore does).
fn policy(chain: &Chain, message: &Message<'_>) -> Result<Option<Found>, Malformed> {
    let (Some((key, hook)), Some(NF_DROP)) = (base(chain), chain.policy) else {
        return Ok(None);
    };
    let rule = Rule {
        verdict: RuleVerdict::Drop,
        hook: Some(hook.into()),
    };
    let mut packets = None;
    for attribute in attributes(message)? {
        let attribute = attribute?;
        if attribute.kind == NFTA_CHAIN_COUNTERS {
            packets = count(attribute)?;
        }
    }
    Ok(Some((key, rule, packets)))
}

/// A rule that ends in drop or reject.
fn rule(message: &Message<'_>) -> Result<Option<Found>, Malformed> {
    let family = message_family(message);
    let (mut table, mut chain, mut handle) = (String::new(), String::new(), None);
    let mut end = None;
    for attribute in attributes(message)? {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_RULE_TABLE => table = attribute.text(),
            NFTA_RULE_CHAIN => chain = attribute.text(),
            NFTA_RULE_HANDLE => handle = Some(attribute.be64()?),
            NFTA_RULE_EXPRESSIONS => end = verdict(attribute.nested())?,
            _ => {}
        }
    }
    let (Some((verdict, packets)), Some(handle)) = (end, handle) else {
        return Ok(None);
    };
    let rule = Rule { verdict, hook: None };
    Ok(Some((key(family, &table, &chain, Some(handle)), rule, packets)))
}

/// The verdict of a rule that drops, and the packets that it counted. A counter counts what reaches it: one before
/// a condition counts other packets too, and a named one may count for other rules.
fn verdict(list: Attributes<'_>) -> Result<Option<(RuleVerdict, Option<u64>)>, Malformed> {
    let mut packets = None;
    for element in list {
        let (mut name, mut data) = (Vec::new(), None);
        for attribute in element?.nested() {
            let attribute = attribute?;
            match attribute.kind {
                NFTA_EXPR_NAME => name = attribute.string().to_vec(),
                NFTA_EXPR_DATA => data = Some(attribute),
                _ => {}
            }
        }
        match (name.as_slice(), data) {
            (b"counter", Some(data)) => packets = count(data)?,
            (b"log", _) => {}
            (b"reject", _) => return Ok(Some((RuleVerdict::Reject, packets))),
            (b"target", Some(data)) if is_reject(data)? => {
                return Ok(Some((RuleVerdict::Reject, packets)));
            }
            (b"immediate", Some(data)) => match immediate(data)? {
                Some(code) if code & VERDICT_MASK == NF_DROP => {
                    return Ok(Some((RuleVerdict::Drop, packets)));
                }
                // The packet is accepted, or goes on elsewhere.
                Some(_) => return Ok(None),
                // A number for a later expression.
                None => {}
            },
            _ => packets = None,
        }
    }
    Ok(None)
}

/// The packets of a counter. Bytes and packets have the same numbers in a chain and in a rule.
fn count(counter: Attribute<'_>) -> Result<Option<u64>, Malformed> {
    for attribute in counter.nested() {
        let attribute = attribute?;
        if attribute.kind == NFTA_COUNTER_PACKETS {
            return attribute.be64().map(Some);
        }
    }
    Ok(None)
}

/// The code of a verdict; none of another value.
fn immediate(data: Attribute<'_>) -> Result<Option<u32>, Malformed> {
    for value in data.nested() {
        let value = value?;
        if value.kind != NFTA_IMMEDIATE_DATA {
            continue;
        }
        for inner in value.nested() {
            let inner = inner?;
            if inner.kind != NFTA_DATA_VERDICT {
                continue;
            }
            for part in inner.nested() {
                let part = part?;
                if part.kind == NFTA_VERDICT_CODE {
                    return part.be32().map(Some);
                }
            }
        }
    }
    Ok(None)
}

/// Whether a target of iptables answers and drops.
fn is_reject(target: Attribute<'_>) -> Result<bool, Malformed> {
    for attribute in target.nested() {
        let attribute = attribute?;
        if attribute.kind == NFTA_MATCH_NAME {
            return Ok(attribute.string() == b"REJECT");
        }
    }
    Ok(false)
}

fn key(family: u8, table: &str, chain: &str, handle: Option<u64>) -> RuleKey {
    RuleKey {
        family: family_word(family).into(),
        table: table.into(),
        chain: chain.into(),
        handle,
    }
}

/// The family as nft names it.
fn family_word(family: u8) -> &'static str {
    match libc::c_int::from(family) {
        libc::NFPROTO_INET => "inet",
        libc::NFPROTO_IPV4 => "ip",
        libc::NFPROTO_IPV6 => "ip6",
        libc::NFPROTO_ARP => "arp",
        libc::NFPROTO_BRIDGE => "bridge",
        libc::NFPROTO_NETDEV => "netdev",
        _ => "unknown",
    }
}

/// The hook as nft names it.
fn hook_word(family: u8, number: u32) -> &'static str {
    let words: &[&str] = match libc::c_int::from(family) {
        libc::NFPROTO_ARP => &["input", "output", "forward"],
        libc::NFPROTO_NETDEV => &["ingress", "egress"],
        _ => &[
            "prerouting",
            "input",
            "forward",
            "output",
            "postrouting",
            "ingress",
        ],
    };
    let word = usize::try_from(number).ok().and_then(|number| words.get(number));
    word.copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;
    use proptest::prelude::*;

    /// A rule with these expressions.
    fn message(fill: impl FnOnce(Request) -> Request) -> Vec<u8> {
        let request = request(NFT_MSG_NEWRULE, 2, 0)
            .text(NFTA_RULE_TABLE, "filter")
            .text(NFTA_RULE_CHAIN, "FORWARD")
            .attribute(NFTA_RULE_HANDLE, &7u64.to_be_bytes())
            .nest(NFTA_RULE_EXPRESSIONS, fill);
        let mut request = request;
        request.finish(1)[16..].to_vec()
    }

    fn expression(list: Request, name: &str, fill: impl FnOnce(Request) -> Request) -> Request {
        list.nest(NFTA_LIST_ELEM, |one| {
            one.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, fill)
        })
    }

    fn counter(list: Request, packets: u64) -> Request {
        let bytes = packets.to_be_bytes();
        expression(list, "counter", |data| {
            data.attribute(NFTA_COUNTER_PACKETS, &bytes)
        })
    }

    fn jump(list: Request, code: u32) -> Request {
        expression(list, "immediate", |data| {
            data.nest(NFTA_IMMEDIATE_DATA, |value| {
                value.nest(NFTA_DATA_VERDICT, |verdict| verdict.be32(NFTA_VERDICT_CODE, code))
            })
        })
    }

    fn read(bytes: &[u8]) -> Option<(RuleVerdict, Option<u64>)> {
        let message = Message {
            kind: 0,
            flags: 0,
            sequence: 1,
            payload: bytes,
        };
        let (key, rule, packets) = rule(&message).unwrap()?;
        assert_eq!(key.to_string(), "rule handle 7 of ip filter FORWARD");
        Some((rule.verdict, packets))
    }

    #[test]
    fn counts_only_what_the_verdict_meets() {
        let plain = |list: Request, name: &str| expression(list, name, |data| data);
        let drop = Some((RuleVerdict::Drop, Some(5)));
        assert_eq!(read(&message(|list| jump(counter(list, 5), NF_DROP))), drop);
        assert_eq!(
            read(&message(|list| jump(plain(counter(list, 5), "log"), NF_DROP))),
            drop
        );
        // The counter stands before the condition.
        assert_eq!(
            read(&message(|list| jump(plain(counter(list, 5), "cmp"), NF_DROP))),
            Some((RuleVerdict::Drop, None))
        );
        assert_eq!(
            read(&message(|list| jump(plain(list, "objref"), NF_DROP))),
            Some((RuleVerdict::Drop, None))
        );
        assert_eq!(read(&message(|list| jump(counter(list, 5), NF_ACCEPT))), None);
        // NFT_JUMP.
        assert_eq!(
            read(&message(|list| jump(counter(list, 5), (-3i32).cast_unsigned()))),
            None
        );
        assert_eq!(read(&message(|list| counter(list, 5))), None);
        let reject = Some((RuleVerdict::Reject, Some(9)));
        assert_eq!(read(&message(|list| plain(counter(list, 9), "reject"))), reject);
        let target = |name: &'static str| {
            message(move |list| {
                expression(counter(list, 9), "target", |data| {
                    data.text(NFTA_MATCH_NAME, name)
                })
            })
        };
        assert_eq!(read(&target("REJECT")), reject);
        assert_eq!(read(&target("LOG")), None);
    }

    #[test]
    fn a_rule_has_the_hook_of_its_chain() {
        let payload = |request: Request| {
            let mut request = request;
            request.finish(1)[16..].to_vec()
        };
        let chain = payload(
            request(NFT_MSG_NEWCHAIN, 2, 0)
                .text(NFTA_CHAIN_TABLE, "filter")
                .text(NFTA_CHAIN_NAME, "FORWARD")
                .nest(NFTA_CHAIN_HOOK, |hook| {
                    hook.be32(NFTA_HOOK_HOOKNUM, 2).be32(NFTA_HOOK_PRIORITY, 0)
                }),
        );
        let drop = message(|list| jump(counter(list, 5), NF_DROP));
        let of = |payload| Message {
            kind: 0,
            flags: 0,
            sequence: 1,
            payload,
        };
        let hooks: BTreeMap<RuleKey, &str> =
            base(&ruleset::chain(&of(&chain)).unwrap()).into_iter().collect();
        let hook = |hooks| at_hook(rule(&of(&drop)).unwrap().unwrap(), hooks).1.hook;
        assert_eq!(hook(&hooks).as_deref(), Some("forward"));
        assert_eq!(hook(&BTreeMap::new()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let message = Message { kind: 0, flags: 0, sequence: 0, payload: &bytes };
            let chain = ruleset::chain(&message);
            let _ = (rule(&message), chain.map(|chain| (base(&chain), policy(&chain, &message).is_ok())));
        }

        #[test]
        fn no_changed_byte_makes_it_panic(at in any::<proptest::sample::Index>(), byte: u8) {
            let mut bytes = message(|list| jump(counter(list, 5), NF_DROP));
            let length = bytes.len();
            bytes[at.index(length)] = byte;
            let message = Message { kind: 0, flags: 0, sequence: 0, payload: &bytes };
            let _ = rule(&message);
        }
    }
}
