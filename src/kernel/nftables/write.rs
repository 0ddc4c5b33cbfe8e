//! The requests that make a ruleset as it is wanted. They replace netkeel's rules and keep those of
//! others in the same table.

use crate::nftables::protocol::*;

use std::collections::BTreeMap;

use crate::netlink::message::{NESTED, Request};
use crate::nftables::protocol::request;
use crate::nftables::protocol::{NFPROTO_INET, TYPE_IP6ADDR, TYPE_IPADDR};
use crate::nftables::rules;
use crate::nftables::ruleset::{Chain, Rule, Ruleset, Set, comment};
use crate::nftables::table::{COUNTS_SOURCES, HOOK, content, family_word, hangs_right, is_of};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::nflog::entry_name::{EntryName, MARK, TABLE};
use netkeel_core::nflog::foreign::{ForeignRule, Verb};
use netkeel_core::nflog::nft::{REMEMBERED, SOURCES};
use netkeel_core::nflog::rules::Rules;

/// Wraps requests so that the kernel does all of them or none, and nothing where the ruleset is not
/// of this generation any more.
pub(crate) fn batch(generation: u32, requests: Vec<Request>) -> Vec<Request> {
    let frame = |kind: u16| {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        let body = [0, 0, high, low];
        Request::new(kind, libc::NLM_F_REQUEST as u16, &body)
    };
    let mut all = vec![frame(NFNL_MSG_BATCH_BEGIN).be32(NFNL_BATCH_GENID, generation)];
    all.extend(requests);
    // The last one that does something is answered when all were done.
    if let Some(last) = all.last_mut() {
        last.ask_for_acknowledgement();
    }
    all.push(frame(NFNL_MSG_BATCH_END));
    all
}

/// The sets that rules of an entry count sources in.
pub(crate) fn sets(name: &EntryName, rules: &Rules) -> Vec<Set> {
    let counted = rules.parts().filter(|_| rules.rate.is_some());
    let set = |ipv6: bool| Set {
        name: name.set(ipv6),
        flags: COUNTS_SOURCES,
        key: if ipv6 { 16 } else { 4 },
        size: SOURCES,
        timeout: REMEMBERED * 1000,
    };
    counted.map(|(ipv6, _)| set(ipv6)).collect()
}

/// Gives an entry its rules in place of those it has.
pub(crate) fn set(ruleset: &Ruleset, name: &EntryName, wanted: &Rules) -> Result<Vec<Request>, Error> {
    let chain = name.chain();
    let old = own(ruleset, &chain);
    let mut requests = Vec::new();
    let create = libc::NLM_F_CREATE;
    if ruleset.table != Some(0) {
        let new = request(NFT_MSG_NEWTABLE, NFPROTO_INET, create);
        requests.push(new.text(NFTA_TABLE_NAME, TABLE).be32(NFTA_TABLE_FLAGS, 0));
    }
    requests.extend(without_ours(ruleset, name, old));
    let mut keep = false;
    if let Some(old) = old {
        keep = hangs_right(old);
        if !keep && old.rules.iter().any(|rule| !rule.is_ours()) {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the chain {chain} hangs elsewhere now, and holds rules that are not netkeel's"),
            )
            .hint(format!("look at it: nft list chain inet {TABLE} {chain}")));
        }
        if !keep {
            requests.push(of_chain(NFT_MSG_DELCHAIN, &chain, 0));
        }
    }
    if !keep {
        let new = of_chain(NFT_MSG_NEWCHAIN, &chain, create);
        let (number, priority) = HOOK;
        let new = new.nest(NFTA_CHAIN_HOOK, |hook| {
            hook.be32(NFTA_HOOK_HOOKNUM, number)
                .be32(NFTA_HOOK_PRIORITY, priority.cast_unsigned())
        });
        requests.push(
            new.be32(NFTA_CHAIN_POLICY, NF_ACCEPT)
                .text(NFTA_CHAIN_TYPE, "filter"),
        );
    } else if old.is_some_and(|old| old.policy != Some(NF_ACCEPT)) {
        requests.push(of_chain(NFT_MSG_NEWCHAIN, &chain, 0).be32(NFTA_CHAIN_POLICY, NF_ACCEPT));
    }
    for (number, set) in sets(name, wanted).into_iter().enumerate() {
        requests.push(new_set(&set, number as u32 + 1));
    }
    // A rule that is not appended comes first: before those of others, which may end the way of a packet.
    for expressions in rules::write(wanted, name).into_iter().rev() {
        let rule = request(NFT_MSG_NEWRULE, NFPROTO_INET, create);
        let rule = rule.text(NFTA_RULE_TABLE, TABLE).text(NFTA_RULE_CHAIN, &chain);
        let rule = rule.nest(NFTA_RULE_EXPRESSIONS, |list| {
            expressions
                .iter()
                .fold(list, |list, expression| expression.write(list))
        });
        requests.push(rule.attribute(NFTA_RULE_USERDATA, &comment(MARK)));
    }
    Ok(requests)
}

/// Takes an entry's rules away, and with the last of them the chain and the table, unless somebody
/// else has put something there.
pub(crate) fn remove(ruleset: &Ruleset, name: &EntryName) -> Vec<Request> {
    let chain = name.chain();
    let old = own(ruleset, &chain);
    let mut requests = without_ours(ruleset, name, old);
    let Some(old) = old else {
        return requests;
    };
    if old.rules.iter().any(|rule| !rule.is_ours()) {
        return requests;
    }
    requests.push(of_chain(NFT_MSG_DELCHAIN, &chain, 0));
    let alone =
        ruleset.own.len() == 1 && ruleset.objects == 0 && ruleset.sets.iter().all(|set| is_of(set, name));
    if alone {
        requests.push(request(NFT_MSG_DELTABLE, NFPROTO_INET, 0).text(NFTA_TABLE_NAME, TABLE));
    }
    requests
}

fn own<'a>(ruleset: &'a Ruleset, chain: &str) -> Option<&'a Chain> {
    ruleset.own.iter().find(|own| own.name == chain)
}

fn of_chain(verb: u16, chain: &str, flags: libc::c_int) -> Request {
    request(verb, NFPROTO_INET, flags)
        .text(NFTA_CHAIN_TABLE, TABLE)
        .text(NFTA_CHAIN_NAME, chain)
}

/// Deletes the rules that bear netkeel's comment, and the sets of an entry.
fn without_ours(ruleset: &Ruleset, name: &EntryName, chain: Option<&Chain>) -> Vec<Request> {
    let mut requests = Vec::new();
    for rule in chain.into_iter().flat_map(|chain| &chain.rules) {
        if rule.is_ours() {
            requests.push(delete_rule(NFPROTO_INET, TABLE, &name.chain(), rule));
        }
    }
    for set in ruleset.sets.iter().filter(|set| is_of(set, name)) {
        requests.push(
            request(NFT_MSG_DELSET, NFPROTO_INET, 0)
                .text(NFTA_SET_TABLE, TABLE)
                .text(NFTA_SET_NAME, &set.name),
        );
    }
    requests
}

fn delete_rule(family: u8, table: &str, chain: &str, rule: &Rule) -> Request {
    let request = request(NFT_MSG_DELRULE, family, 0)
        .text(NFTA_RULE_TABLE, table)
        .text(NFTA_RULE_CHAIN, chain);
    request.attribute(NFTA_RULE_HANDLE, &rule.handle.to_be_bytes())
}

fn new_set(set: &Set, number: u32) -> Request {
    let kind = if set.key == 4 { TYPE_IPADDR } else { TYPE_IP6ADDR };
    request(NFT_MSG_NEWSET, NFPROTO_INET, libc::NLM_F_CREATE)
        .text(NFTA_SET_TABLE, TABLE)
        .text(NFTA_SET_NAME, &set.name)
        .be32(NFTA_SET_FLAGS, set.flags)
        .be32(NFTA_SET_KEY_TYPE, kind)
        .be32(NFTA_SET_KEY_LEN, set.key)
        .be32(NFTA_SET_ID, number)
        .nest(NFTA_SET_DESC, |size| size.be32(NFTA_SET_DESC_SIZE, set.size))
        .attribute(NFTA_SET_TIMEOUT, &set.timeout.to_be_bytes())
}

/// Deletes rules of others, each wherever in its chain it stands now. One that is gone already is
/// what was wanted.
pub(crate) fn delete(ruleset: &Ruleset, gone: &[ForeignRule]) -> Vec<Request> {
    let there = present(ruleset, gone).into_iter().flatten();
    there
        .map(|(chain, rule)| delete_rule(chain.family, &chain.table, &chain.name, rule))
        .collect()
}

/// For each rule the equal one in the kernel, if there is one. Each rule of the kernel is found once.
fn present<'a>(ruleset: &'a Ruleset, rules: &[ForeignRule]) -> Vec<Option<(&'a Chain, &'a Rule)>> {
    let mut taken = Vec::new();
    let mut found = Vec::new();
    for rule in rules {
        let chain = chain_of(ruleset, rule);
        let same = chain.and_then(|chain| {
            let mut there = chain.rules.iter();
            let one = there.find(|one| !taken.contains(&one.handle) && is_the_same(one, rule))?;
            taken.push(one.handle);
            Some((chain, one))
        });
        found.push(same);
    }
    found
}

/// Puts rules of others back, each where it stood: behind the rule that stands before that place.
/// One that is there was never taken away.
pub(crate) fn insert(ruleset: &Ruleset, back: &[ForeignRule]) -> Result<Vec<Request>, Error> {
    /// Numbers that rules of this batch have, to be named by those after them.
    type Ids = BTreeMap<(u8, String, String), Vec<Before>>;
    let mut order: Ids = Ids::new();
    let mut requests = Vec::new();
    let there = present(ruleset, back);
    let lost = back.iter().zip(there).filter(|(_, there)| there.is_none());
    let mut back: Vec<&ForeignRule> = lost.map(|(rule, _)| rule).collect();
    back.sort_by_key(|rule| rule.position);
    for (number, rule) in back.into_iter().enumerate() {
        let chain = chain_of(ruleset, rule).ok_or_else(|| no_chain(rule))?;
        let key = (chain.family, chain.table.clone(), chain.name.clone());
        let there = order.entry(key).or_insert_with(|| {
            chain
                .rules
                .iter()
                .map(|rule| Before::Handle(rule.handle))
                .collect()
        });
        let place = (rule.position.saturating_sub(1) as usize).min(there.len());
        let before = place.checked_sub(1).and_then(|at| there.get(at)).copied();
        let flags = match before {
            // Without a place to stand behind, a rule that is not appended comes first.
            None => libc::NLM_F_CREATE,
            Some(_) => libc::NLM_F_CREATE | libc::NLM_F_APPEND,
        };
        let id = number as u32 + 1;
        let mut new = request(NFT_MSG_NEWRULE, chain.family, flags)
            .text(NFTA_RULE_TABLE, &chain.table)
            .text(NFTA_RULE_CHAIN, &chain.name);
        let Some(content) = &rule.content else {
            let message = format!("it is not known how to make the rule again: {rule}");
            return Err(Error::new(ErrorKind::Refused, message));
        };
        let bytes = |digits: &str| {
            from_hexadecimal(digits)
                .ok_or_else(|| Error::new(ErrorKind::Unreadable, "a rule that was kept is damaged"))
        };
        new = new.attribute(NFTA_RULE_EXPRESSIONS | NESTED, &bytes(&content.expressions)?);
        if let Some(protocol) = content.protocol {
            new = new.nest(NFTA_RULE_COMPAT, |compat| {
                compat
                    .be32(NFTA_RULE_COMPAT_PROTO, protocol.into())
                    .be32(NFTA_RULE_COMPAT_FLAGS, 0)
            });
        }
        new = match before {
            None => new,
            Some(Before::Handle(handle)) => new.attribute(NFTA_RULE_POSITION, &handle.to_be_bytes()),
            Some(Before::Id(id)) => new.be32(NFTA_RULE_POSITION_ID, id),
        };
        if let Some(userdata) = &content.userdata {
            new = new.attribute(NFTA_RULE_USERDATA, &bytes(userdata)?);
        }
        requests.push(new.be32(NFTA_RULE_ID, id));
        there.insert(place, Before::Id(id));
    }
    Ok(requests)
}

/// The rule that was found is the one that was kept.
fn is_the_same(found: &Rule, kept: &ForeignRule) -> bool {
    let protocol = kept.content.as_ref().and_then(|content| content.protocol);
    content(found, protocol) == kept.content
}

/// How a rule is named by the one that comes behind it.
#[derive(Clone, Copy)]
enum Before {
    Handle(u64),
    Id(u32),
}

fn chain_of<'a>(ruleset: &'a Ruleset, rule: &ForeignRule) -> Option<&'a Chain> {
    let is = |chain: &&Chain| {
        family_word(chain.family) == &*rule.family && chain.table == *rule.table && chain.name == *rule.chain
    };
    ruleset.others.iter().find(is)
}

fn no_chain(rule: &ForeignRule) -> Error {
    let ForeignRule {
        family, table, chain, ..
    } = rule;
    let message = format!("there is no chain {chain} in the table {family} {table} any more");
    Error::new(ErrorKind::Missing, message).hint(format!("the rule was: {}", rule.command(Verb::Insert)))
}

fn from_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
