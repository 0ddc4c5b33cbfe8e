//! The table of netkeel, and what a rule in it contains.

use crate::nftables::protocol::*;

use std::sync::Arc;

use crate::netlink::message::{Attributes, NESTED, Request};
use crate::nftables::protocol::{NFPROTO_IPV4, NFPROTO_IPV6};
use crate::nftables::ruleset::{Chain, Rule, Ruleset, Set};
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::nflog::foreign::Content;

/// Hook and priority of netkeel's base chains.
pub(crate) const HOOK: (u32, i32) = (NF_INET_PRE_ROUTING, libc::NF_IP_PRI_RAW);

/// Flags of the set in which sources are counted.
pub(crate) const COUNTS_SOURCES: u32 = NFT_SET_TIMEOUT | NFT_SET_EVAL;

/// The chain is called where it should be, and lets through what it logs.
pub(crate) fn is_as_made(ruleset: &Ruleset, chain: &Chain) -> bool {
    ruleset.table == Some(0) && hangs_right(chain) && chain.policy == Some(NF_ACCEPT)
}

pub(crate) fn hangs_right(chain: &Chain) -> bool {
    chain.hook == Some(HOOK) && chain.kind == "filter"
}

/// The set is one of an entry's.
pub(crate) fn is_of(set: &Set, name: &EntryName) -> bool {
    [false, true].iter().any(|ipv6| set.name == name.set(*ipv6))
}

/// The content by which a rule can be made again. A rule that looks into a set cannot be made from its own
/// expressions alone. Nor can one with extensions for a protocol that is not known: the kernel does not
/// return the protocol that they were made for.
pub(crate) fn content(rule: &Rule, protocol: Option<u8>) -> Option<Content> {
    use crate::nftables::expression::Expression::Extension;
    use crate::nftables::expression::Expression::{Unknown, Verdict};
    let unknown = |expression: &_| matches!(expression, Unknown(_) | Verdict(_));
    let extended = rule
        .expressions
        .iter()
        .any(|expression| matches!(expression, Extension(..)));
    if rule.expressions.iter().any(unknown) || (extended && protocol.is_none()) {
        return None;
    }
    Some(Content {
        expressions: hexadecimal(&self::without_counts(&rule.bytes)),
        protocol: protocol.filter(|_| extended),
        userdata: rule.userdata.as_deref().map(hexadecimal),
    })
}

fn hexadecimal(bytes: &[u8]) -> Arc<str> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.into()
}

pub(crate) fn family_word(family: u8) -> &'static str {
    match family {
        NFPROTO_IPV4 => "ip",
        NFPROTO_IPV6 => "ip6",
        _ => "inet",
    }
}

/// The list of expressions with empty counters, so that it is the same whatever passed.
pub(crate) fn without_counts(list: &[u8]) -> Vec<u8> {
    let mut request = Request::new(0, 0, &[]);
    for element in Attributes(list).flatten() {
        let name = element
            .nested()
            .flatten()
            .find(|inner| inner.kind == NFTA_EXPR_NAME);
        let counts = name.is_some_and(|name| name.string() == b"counter");
        request = match counts {
            true => crate::nftables::expression::Expression::Counter.write(request),
            false => request.attribute(element.kind | NESTED, element.value),
        };
    }
    request.body().to_vec()
}
