//! Reads what there is: netkeel's own table whole, and of the others the chains that see packets
//! before they are routed.

use crate::netlink::message::{Attribute, Malformed, Message};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::nftables::expression::Expression;
use crate::nftables::moment;
use crate::nftables::moment::Dumps;
use crate::nftables::protocol::*;
use netkeel_core::nflog::entry_name::{MARK, TABLE};

/// The rules of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ruleset {
    /// The generation it is of.
    pub(crate) generation: u32,
    /// Whether netkeel's table is there, and its flags.
    pub table: Option<u32>,
    /// netkeel's chains by name.
    pub own: Vec<Chain>,
    /// netkeel's sets.
    pub(crate) sets: Vec<Set>,
    /// Named objects and flowtables in netkeel's table: somebody else's.
    pub objects: usize,
    /// The chains of others that see packets before they are routed.
    pub others: Vec<Chain>,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chain {
    pub family: u8,
    pub table: String,
    pub name: String,
    /// Hook and priority, of one that is called by the kernel.
    pub(crate) hook: Option<(u32, i32)>,
    /// NF_ACCEPT is 1.
    pub(crate) policy: Option<u32>,
    /// `filter`.
    pub kind: String,
    /// Its table is switched off.
    pub(crate) dormant: bool,
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rule {
    pub handle: u64,
    pub(crate) expressions: Vec<Expression>,
    /// The bytes of the expressions, as they came.
    pub bytes: Vec<u8>,
    /// The notes of its writer.
    pub(crate) userdata: Option<Vec<u8>>,
}

/// A set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set {
    pub name: String,
    pub flags: u32,
    /// Bytes of a key.
    pub key: u32,
    /// Elements at most.
    pub size: u32,
    /// Milliseconds that an element stays.
    pub timeout: u64,
}

impl Rule {
    /// It bears netkeel's comment.
    pub(crate) fn is_ours(&self) -> bool {
        self.userdata.as_deref() == Some(&comment(MARK))
    }
}

/// A comment as nft notes it: type 0, length, text with its zero (libnftnl, udata.h).
pub(crate) fn comment(text: &str) -> Vec<u8> {
    let mut bytes = vec![0, text.len() as u8 + 1];
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// Reads everything of one moment. None if the rules changed in each attempt: parts of several moments are no ruleset.
pub(crate) fn read(socket: &mut Socket) -> Result<Option<Ruleset>, Refusal> {
    let moment = moment::read(socket, attempt_to_read)?;
    let generation = moment.generation;
    Ok(moment.one().map(|read| Ruleset { generation, ..read }))
}

fn attempt_to_read(dumps: &mut Dumps<'_>) -> Result<Ruleset, Refusal> {
    let mut ruleset = Ruleset::default();
    dumps.dump(
        request(NFT_MSG_GETTABLE, NFPROTO_INET, libc::NLM_F_DUMP),
        |message| {
            let (name, flags) = table(message)?;
            if name == TABLE {
                ruleset.table = Some(flags);
            }
            Ok(())
        },
    )?;
    let dormant = dumps.dormant()?;
    let mut chains = Vec::new();
    dumps.dump(request(NFT_MSG_GETCHAIN, 0, libc::NLM_F_DUMP), |message| {
        chains.push(chain(message)?);
        Ok(())
    })?;
    for mut chain in chains {
        let own = chain.family == NFPROTO_INET && chain.table == TABLE;
        if !own && !(sees_arrivals(&chain)) {
            continue;
        }
        chain.dormant = dormant.contains(&(chain.family, chain.table.clone()));
        let get = request(NFT_MSG_GETRULE, chain.family, libc::NLM_F_DUMP)
            .text(NFTA_RULE_TABLE, &chain.table)
            .text(NFTA_RULE_CHAIN, &chain.name);
        dumps.dump(get, |message| {
            let (of, rule) = rule(message)?;
            // A kernel that knows no filter sends all rules.
            if of == (message_family(message), chain.table.clone(), chain.name.clone()) {
                chain.rules.push(rule);
            }
            Ok(())
        })?;
        if own {
            ruleset.own.push(chain);
        } else {
            ruleset.others.push(chain);
        }
    }
    if ruleset.table.is_some() {
        let of_ours = |verb| request(verb, NFPROTO_INET, libc::NLM_F_DUMP).text(OF_TABLE, TABLE);
        dumps.dump(of_ours(NFT_MSG_GETSET), |message| {
            let (table, set) = set(message)?;
            if table == TABLE {
                ruleset.sets.push(set);
            }
            Ok(())
        })?;
        for verb in [NFT_MSG_GETOBJ, NFT_MSG_GETFLOWTABLE] {
            dumps.dump(of_ours(verb), |message| {
                ruleset.objects += usize::from(table(message)?.0 == TABLE);
                Ok(())
            })?;
        }
    }
    Ok(ruleset)
}

/// A chain of IPv4, IPv6 or both that the kernel calls for each packet that arrives.
fn sees_arrivals(chain: &Chain) -> bool {
    matches!(chain.family, NFPROTO_IPV4 | NFPROTO_IPV6 | NFPROTO_INET)
        && matches!(chain.hook, Some((NF_INET_PRE_ROUTING, _)))
}

/// A chain, without its rules.
pub(super) fn chain(message: &Message<'_>) -> Result<Chain, Malformed> {
    let mut chain = Chain {
        family: message_family(message),
        ..Chain::default()
    };
    for attribute in attributes(message)? {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_CHAIN_TABLE => chain.table = attribute.text(),
            NFTA_CHAIN_NAME => chain.name = attribute.text(),
            NFTA_CHAIN_HOOK => chain.hook = hook(attribute)?,
            NFTA_CHAIN_POLICY => chain.policy = Some(attribute.be32()?),
            NFTA_CHAIN_TYPE => chain.kind = attribute.text(),
            _ => {}
        }
    }
    Ok(chain)
}

fn hook(hook: Attribute<'_>) -> Result<Option<(u32, i32)>, Malformed> {
    let (mut number, mut priority) = (None, None);
    for attribute in hook.nested() {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_HOOK_HOOKNUM => number = Some(attribute.be32()?),
            NFTA_HOOK_PRIORITY => priority = Some(attribute.be32()?.cast_signed()),
            _ => {}
        }
    }
    Ok(number.zip(priority))
}

/// The rule, and of which chain: family, table, name.
fn rule(message: &Message<'_>) -> Result<((u8, String, String), Rule), Malformed> {
    let mut of = (message_family(message), String::new(), String::new());
    let mut rule = Rule::default();
    for attribute in attributes(message)? {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_RULE_TABLE => of.1 = attribute.text(),
            NFTA_RULE_CHAIN => of.2 = attribute.text(),
            NFTA_RULE_HANDLE => rule.handle = attribute.be64()?,
            NFTA_RULE_EXPRESSIONS => {
                rule.bytes = attribute.value.to_vec();
                rule.expressions = Expression::read_all(attribute.nested())?;
            }
            NFTA_RULE_USERDATA => rule.userdata = Some(attribute.value.to_vec()),
            _ => {}
        }
    }
    Ok((of, rule))
}

/// The set, and of which table.
fn set(message: &Message<'_>) -> Result<(String, Set), Malformed> {
    let mut table = String::new();
    let mut set = Set::default();
    for attribute in attributes(message)? {
        let attribute = attribute?;
        match attribute.kind {
            NFTA_SET_TABLE => table = attribute.text(),
            NFTA_SET_NAME => set.name = attribute.text(),
            NFTA_SET_FLAGS => set.flags = attribute.be32()?,
            NFTA_SET_KEY_LEN => set.key = attribute.be32()?,
            NFTA_SET_DESC => {
                for inner in attribute.nested() {
                    let inner = inner?;
                    if inner.kind == NFTA_SET_DESC_SIZE {
                        set.size = inner.be32()?;
                    }
                }
            }
            NFTA_SET_TIMEOUT => set.timeout = attribute.be64()?,
            _ => {}
        }
    }
    Ok((table, set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::{Messages, Request};
    use crate::nftables::conditions::Conditions;
    use crate::nftables::{foreign, rules, table, write};
    use netkeel_core::nflog::entry_name::{EntryName, Rate};
    use netkeel_core::nflog::rules::Rules;
    use netkeel_document::kinds::nflog::entry::{Entry, Prefilter};
    use proptest::prelude::*;

    /// Reads a message as everything that it could be, and goes on with what was read.
    fn read_all(message: &Message<'_>) {
        let _ = (table(message), chain(message), set(message));
        let Ok((_, rule)) = rule(message) else {
            return;
        };
        let name: EntryName = "x".parse().unwrap();
        let _ = (
            rules::read(&name, std::slice::from_ref(&rule.expressions)),
            rule.is_ours(),
        );
        table::without_counts(&rule.bytes);
        for family in [None, Some(NFPROTO_IPV4), Some(NFPROTO_IPV6)] {
            let place = foreign::RulePosition {
                family: "ip",
                table: "raw".into(),
                chain: "PREROUTING".into(),
                position: 1,
            };
            foreign::judge(&place, false, &Conditions::of(&rule.expressions, family), None);
        }
    }

    fn written() -> (EntryName, Rules) {
        let nets = ["192.168.100.0/24", "10.0.0.0/9", "2001:db8::/64", "2001:db8::/65"];
        let entry = Entry {
            interfaces: ["eth0".parse().unwrap(), "eth0.100".parse().unwrap()].into(),
            patterns: Default::default(),
            required: None,
            group: 33,
            ignore_sources: nets.iter().map(|net| net.parse().unwrap()).collect(),
            snaplen: 1500,
            queue_threshold: 64,
            prefilter: Prefilter {
                min_mtu: Some(576),
                min_mtu_ipv6: Some(1280),
                max_mtu: Some(1499),
                rate: Some(Rate {
                    per_second: 10,
                    burst: 20,
                }),
            },
            remove_on_stop: true,
            adopt: false,
        };
        let rules = entry.rules(|_, _| false).unwrap();
        ("packet-too-big".parse().unwrap(), rules)
    }

    /// The messages that make the rules, which look like those that tell of them.
    fn messages() -> Vec<Vec<u8>> {
        let (name, rules) = written();
        let requests = write::set(&Ruleset::default(), &name, &rules).unwrap();
        let bytes = |mut request: Request| request.finish(1).to_vec();
        requests.into_iter().map(bytes).collect()
    }

    #[test]
    fn what_is_written_is_read_as_what_it_was() {
        let (name, wanted) = written();
        let mut found = Vec::new();
        for bytes in messages() {
            for message in Messages(&bytes).map(Result::unwrap) {
                if message.kind & 0xff == NFT_MSG_NEWRULE {
                    let (_, rule) = rule(&message).unwrap();
                    assert!(rule.is_ours());
                    found.push(rule.expressions);
                }
            }
        }
        // Each is put before those that are there.
        found.reverse();
        assert_eq!(found.len(), 4);
        assert_eq!(rules::read(&name, &found), Some(wanted));
        // Of another entry, without one of them, or with one twice, they are not.
        assert_eq!(rules::read(&"other".parse().unwrap(), &found), None);
        found.swap(0, 1);
        assert_eq!(rules::read(&name, &found), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            read_all(&Message { kind: 0, flags: 0, sequence: 0, payload: &bytes });
            for message in Messages(&bytes).flatten() {
                read_all(&message);
            }
        }

        #[test]
        fn no_changed_bytes_make_it_panic(which in any::<proptest::sample::Index>(), changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6)) {
            let messages = messages();
            let mut bytes = which.get(&messages).clone();
            for (at, byte) in changes {
                let length = bytes.len();
                // The header's length stays, so that what is in it is read.
                bytes[4 + at.index(length - 4)] = byte;
            }
            for message in Messages(&bytes).flatten() {
                read_all(&message);
            }
        }
    }
}
