//! The rules of the firewall that can drop packets of IP, as data: the chains that the kernel calls, and those that
//! their rules lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;

use crate::files::read::{self as files, ReadError};
use crate::modules;
use crate::netlink::message::{Attribute, Attributes, Malformed, Message};
use crate::netlink::refusal::{Refusal, error};
use crate::netlink::socket::Socket;
use crate::nftables::client::{MODULES, is_unknown};
use crate::nftables::foreign::printable;
use crate::nftables::ipvs;
use crate::nftables::matches::{Reader, Translation};
use crate::nftables::moment;
use crate::nftables::moment::Dumps;
use crate::nftables::protocol::*;
use crate::nftables::protocol::{attributes, message_family, request};
use crate::nftables::ruleset;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::firewall::{Base, Chain, Firewall, Hook, MOST_RULES, Rule, Then};
use netkeel_host::snapshot::forwarding::Family;

/// Reads the firewall. A part that cannot be read is named in it. Reading loads no module into the kernel.
pub(crate) fn read(release: &str, name: &dyn Fn(u32) -> Option<LinkName>) -> Firewall {
    let mut found = Firewall::default();
    if !modules::would_be_loaded(MODULES[0], release) {
        match Socket::open_netfilter().and_then(|mut socket| read_settled(&mut socket, name)) {
            Ok(read) => found = read,
            Err(refusal) if is_unknown(&refusal) => {}
            Err(refusal) => {
                let unread = format!("the rules of nftables: {}", error(refusal).message);
                found.unread.insert(unread.into());
            }
        }
    }
    for (file, program, family) in [
        ("ip_tables_names", "iptables", Family::Ipv4),
        ("ip6_tables_names", "ip6tables", Family::Ipv6),
    ] {
        let names = files::system(format!("/proc/thread-self/net/{file}"));
        let (unread, translates) = legacy(program, names);
        found.unread.extend(unread);
        found.translates.extend(translates.then_some(family));
        found.translates_tunnels.extend(translates.then_some(family));
    }
    ipvs::add(&mut found);
    found
}

/// The tables of iptables-legacy, and whether one of them translates addresses. Their rules are not read.
fn legacy(program: &str, names: Result<String, ReadError>) -> (Option<Arc<str>>, bool) {
    let names = match names {
        Ok(names) => names,
        // The module is not loaded.
        Err(ReadError::Io(cause)) if cause.kind() == ErrorKind::NotFound => return (None, false),
        Err(error) => {
            return (
                Some(format!("the tables of {program}-legacy: {error}").into()),
                false,
            );
        }
    };
    let names: Vec<&str> = names.split_ascii_whitespace().collect();
    let text = format!("the tables {} of {program}-legacy", printable(&names.join(", ")));
    ((!names.is_empty()).then(|| text.into()), names.contains(&"nat"))
}

/// Reads the rules of one moment. Parts of several moments are no firewall.
fn read_settled(socket: &mut Socket, name: &dyn Fn(u32) -> Option<LinkName>) -> Result<Firewall, Refusal> {
    let tables = moment::read(socket, |dumps| Tables::read(dumps, name))?.one();
    Ok(tables.map_or_else(torn, Tables::firewall))
}

/// A firewall whose rules changed in each attempt to read them.
fn torn() -> Firewall {
    Firewall {
        unread: ["the rules of nftables: they changed while they were read".into()].into(),
        ..Firewall::default()
    }
}

/// Family, table and name of a chain.
type Key = (u8, String, String);

/// The chains that were read.
#[derive(Debug, Default)]
struct Tables {
    chains: BTreeMap<Key, Read>,
    /// Tables that see packets of IP and whose rules are not kept.
    unread: BTreeSet<Arc<str>>,
}

/// A chain that was read.
#[derive(Debug, Default)]
struct Read {
    base: Option<Base>,
    /// It translates addresses. The kernel calls it for the first packet of a connection only.
    is_nat: bool,
    rules: Vec<Rule>,
    /// The packets whose destination its rules change.
    translates: Translation,
    /// The kernel calls it at a place that is not judged (`ingress`).
    is_elsewhere: bool,
}

impl Tables {
    fn read(dumps: &mut Dumps<'_>, name: &dyn Fn(u32) -> Option<LinkName>) -> Result<Self, Refusal> {
        let mut tables = Tables::default();
        let dormant = dumps.dormant()?;
        let is_on = |family: u8, table: &str| !dormant.contains(&(family, table.to_owned()));
        dumps.dump(request(NFT_MSG_GETCHAIN, 0, libc::NLM_F_DUMP), |message| {
            let (key, chain) = chain(message)?;
            match (is_on(key.0, &key.1), word(key.0)) {
                (false, _) => {}
                (true, Some(_)) => {
                    if chain.is_elsewhere {
                        tables
                            .unread
                            .insert(format!("the chain {} {}", printable(&key.1), printable(&key.2)).into());
                    }
                    tables.chains.insert(key, chain);
                }
                // Chains of ARP see no packet of IP.
                (true, None) if libc::c_int::from(key.0) == libc::NFPROTO_ARP => {}
                (true, None) => {
                    let family = match libc::c_int::from(key.0) {
                        libc::NFPROTO_BRIDGE => "bridge",
                        _ => "netdev",
                    };
                    let unread = format!("the table {family} {}", printable(&key.1));
                    tables.unread.insert(unread.into());
                }
            }
            Ok(())
        })?;
        dumps.dump(request(NFT_MSG_GETRULE, 0, libc::NLM_F_DUMP), |message| {
            let (key, handle, expressions) = rule(message)?;
            if let (Some(read), Some(expressions)) = (tables.chains.get_mut(&key), expressions) {
                read.add(key.0, handle, expressions, name)?;
            }
            Ok(())
        })?;
        Ok(tables)
    }

    /// The chains that a packet can come to.
    fn firewall(self) -> Firewall {
        let of = |is_start: &dyn Fn(&Read, &Base) -> bool| {
            let chains = self.chains.iter();
            let starts =
                chains.filter(|(_, chain)| chain.base.as_ref().is_some_and(|base| is_start(chain, base)));
            self.reached(starts.map(|(key, _)| key).collect())
        };
        let mut found = Firewall {
            unread: self.unread.clone(),
            ..Firewall::default()
        };
        for (key, chain) in of(&|chain, base| chain.is_nat && base.hook == Hook::Prerouting) {
            let translates = chain.may_translate();
            if translates != Translation::None {
                found.translates.extend(families(key.0));
            }
            if translates == Translation::OfAll {
                found.translates_tunnels.extend(families(key.0));
            }
        }
        for (key, chain) in of(&|_, base| base.hook == Hook::Prerouting) {
            if chain.translates != Translation::None {
                found.translates.extend(families(key.0));
            }
        }
        // Chains of the type nat are not judged.
        for (key, _) in of(&|chain, _| chain.is_nat)
            .iter()
            .filter(|(_, chain)| chain.drops())
        {
            let (table, name) = (printable(&key.1), printable(&key.2));
            let unread = format!("drops of the chain {table} {name} of the type nat");
            found.unread.insert(unread.into());
        }
        let kept = of(&|chain, _| !chain.is_nat);
        let rules: usize = kept.values().map(|chain| chain.rules.len()).sum();
        if rules > MOST_RULES {
            let unread = format!("the rules of nftables: they are {rules}, more than {MOST_RULES}");
            found.unread.insert(unread.into());
            return found;
        }
        found.chains = kept
            .into_iter()
            .filter_map(|(key, read)| {
                Some(Chain {
                    family: word(key.0)?.into(),
                    table: printable(&key.1).into(),
                    name: printable(&key.2).into(),
                    base: read.base.clone(),
                    rules: read.rules.clone(),
                })
            })
            .collect();
        found
    }

    /// The chains to which rules lead from some, and those.
    fn reached<'a>(&'a self, mut next: Vec<&'a Key>) -> BTreeMap<&'a Key, &'a Read> {
        let mut found = BTreeMap::new();
        while let Some(key) = next.pop() {
            let Some(chain) = self.chains.get(key) else {
                continue;
            };
            if found.insert(key, chain).is_some() {
                continue;
            }
            for rule in &chain.rules {
                if let Then::Jump(name) | Then::Goto(name) = &rule.then {
                    let target = (key.0, key.1.clone(), name.to_string());
                    next.extend(self.chains.get_key_value(&target).map(|(key, _)| key));
                }
            }
        }
        found
    }
}

impl Read {
    /// A map of verdicts can lead to a rule that translates.
    fn may_translate(&self) -> Translation {
        let is_map = |rule: &Rule| matches!(rule.then, Then::Unknown(_));
        match self.rules.iter().any(is_map) {
            true => Translation::OfAll,
            false => self.translates,
        }
    }

    /// A rule or the policy drops.
    fn drops(&self) -> bool {
        self.base.as_ref().is_some_and(|base| base.drops)
            || self
                .rules
                .iter()
                .any(|rule| matches!(rule.then, Then::Drop | Then::Reject))
    }

    fn add(
        &mut self,
        family: u8,
        handle: u64,
        expressions: Attributes<'_>,
        name: &dyn Fn(u32) -> Option<LinkName>,
    ) -> Result<(), Malformed> {
        let reader = Reader::of(family, name);
        let (rules, translates) = reader.rule(handle, expressions)?;
        self.translates = self.translates.max(translates);
        self.rules.extend(rules);
        Ok(())
    }
}

/// The family as nft names it, of one whose rules are kept.
fn word(family: u8) -> Option<&'static str> {
    match family {
        NFPROTO_INET => Some("inet"),
        NFPROTO_IPV4 => Some("ip"),
        NFPROTO_IPV6 => Some("ip6"),
        _ => None,
    }
}

fn families(family: u8) -> impl Iterator<Item = Family> {
    let four = (family != NFPROTO_IPV6).then_some(Family::Ipv4);
    let six = (family != NFPROTO_IPV4).then_some(Family::Ipv6);
    four.into_iter().chain(six)
}

fn chain(message: &Message<'_>) -> Result<(Key, Read), Malformed> {
    let found = ruleset::chain(message)?;
    let base = found.hook.and_then(|(number, priority)| {
        Some(Base {
            hook: hook_of(number)?,
            priority,
            drops: found.policy == Some(NF_DROP),
        })
    });
    let read = Read {
        is_nat: found.kind == "nat",
        is_elsewhere: found.hook.is_some() && base.is_none(),
        base,
        ..Read::default()
    };
    Ok(((found.family, found.table, found.name), read))
}

/// NF_INET_* (include/uapi/linux/netfilter.h).
fn hook_of(number: u32) -> Option<Hook> {
    Some(match number {
        0 => Hook::Prerouting,
        1 => Hook::Input,
        2 => Hook::Forward,
        3 => Hook::Output,
        4 => Hook::Postrouting,
        _ => return None,
    })
}

/// The chain of a rule, its handle and its expressions.
fn rule<'a>(message: &Message<'a>) -> Result<(Key, u64, Option<Attributes<'a>>), Malformed> {
    let (mut table, mut chain, mut handle) = (String::new(), String::new(), 0);
    let mut expressions = None;
    for attribute in attributes(message)? {
        let attribute: Attribute<'a> = attribute?;
        match attribute.kind {
            NFTA_RULE_TABLE => table = attribute.text(),
            NFTA_RULE_CHAIN => chain = attribute.text(),
            NFTA_RULE_HANDLE => handle = attribute.be64()?,
            NFTA_RULE_EXPRESSIONS => expressions = Some(attribute.nested()),
            _ => {}
        }
    }
    Ok(((message_family(message), table, chain), handle, expressions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(hook: Option<Hook>, is_nat: bool, thens: &[Then]) -> Read {
        let rules = thens.iter().enumerate().map(|(at, then)| Rule {
            handle: at as u64,
            conditions: Vec::new(),
            then: then.clone(),
        });
        Read {
            base: hook.map(|hook| Base {
                hook,
                priority: 0,
                drops: false,
            }),
            is_nat,
            rules: rules.collect(),
            ..Read::default()
        }
    }

    fn tables(chains: Vec<(u8, &str, Read)>) -> Tables {
        let chains = chains.into_iter();
        Tables {
            chains: chains
                .map(|(family, name, read)| ((family, "t".to_owned(), name.to_owned()), read))
                .collect(),
            unread: BTreeSet::new(),
        }
    }

    #[test]
    fn only_chains_that_a_packet_can_come_to_are_kept() {
        let jump = |name: &str| Then::Jump(name.into());
        let mut dnat = chain(None, false, &[]);
        dnat.translates = Translation::OfPorts;
        let found = tables(vec![
            (NFPROTO_IPV4, "in", chain(Some(Hook::Input), false, &[jump("a")])),
            // A ring, which the kernel refuses.
            (NFPROTO_IPV4, "a", chain(None, false, &[jump("b")])),
            (NFPROTO_IPV4, "b", chain(None, false, &[jump("a")])),
            (NFPROTO_IPV4, "unused", chain(None, false, &[Then::Drop])),
            (NFPROTO_IPV6, "a", chain(None, false, &[Then::Drop])),
            (
                NFPROTO_IPV4,
                "nat",
                chain(Some(Hook::Prerouting), true, &[jump("dnat")]),
            ),
            (NFPROTO_IPV4, "dnat", dnat),
        ])
        .firewall();
        let names: Vec<&str> = found.chains.iter().map(|chain| chain.name.as_ref()).collect();
        assert_eq!(names, ["a", "b", "in"]);
        assert_eq!(found.translates, BTreeSet::from([Family::Ipv4]));
        assert!(found.translates_tunnels.is_empty());
    }

    #[test]
    fn a_verdict_map_and_a_proxy_may_send_a_packet_elsewhere() {
        let firewall = |family, chain: Read| tables(vec![(family, "pre", chain)]).firewall();
        let translates = |family, chain: Read| firewall(family, chain).translates;
        let map = [Then::Unknown("lookup".into())];
        let tunnels = firewall(NFPROTO_IPV6, chain(Some(Hook::Prerouting), true, &map)).translates_tunnels;
        assert_eq!(tunnels, BTreeSet::from([Family::Ipv6]));
        let nat = translates(NFPROTO_IPV6, chain(Some(Hook::Prerouting), true, &map));
        assert_eq!(nat, BTreeSet::from([Family::Ipv6]));
        let filter = translates(NFPROTO_IPV6, chain(Some(Hook::Prerouting), false, &map));
        assert_eq!(filter, BTreeSet::new());
        let mut proxy = chain(Some(Hook::Prerouting), false, &[]);
        proxy.translates = Translation::OfPorts;
        assert_eq!(translates(NFPROTO_IPV4, proxy), BTreeSet::from([Family::Ipv4]));
    }

    #[test]
    fn a_chain_of_the_type_nat_that_drops_is_named() {
        let mut policy = chain(Some(Hook::Input), true, &[]);
        policy.base.as_mut().unwrap().drops = true;
        let jump = [Then::Jump("drops".into()), Then::Accept];
        let found = tables(vec![
            (NFPROTO_IPV4, "policy", policy),
            (NFPROTO_IPV4, "rule", chain(Some(Hook::Postrouting), true, &jump)),
            (NFPROTO_IPV4, "drops", chain(None, false, &[Then::Drop])),
        ])
        .firewall();
        let unread: Vec<&str> = found.unread.iter().map(AsRef::as_ref).collect();
        assert_eq!(
            unread,
            [
                "drops of the chain t drops of the type nat",
                "drops of the chain t policy of the type nat"
            ]
        );
    }

    #[test]
    fn a_list_of_tables_that_cannot_be_read_is_not_empty() {
        let error = |kind: ErrorKind| Err(ReadError::Io(kind.into()));
        assert_eq!(legacy("iptables", error(ErrorKind::NotFound)), (None, false));
        let (unread, _) = legacy("iptables", error(ErrorKind::PermissionDenied));
        assert_eq!(
            unread.as_deref(),
            Some("the tables of iptables-legacy: permission denied")
        );
        assert_eq!(legacy("iptables", Ok(String::new())), (None, false));
        let (unread, translates) = legacy("ip6tables", Ok("filter\nnat\n".to_owned()));
        assert_eq!(
            unread.as_deref(),
            Some("the tables filter, nat of ip6tables-legacy")
        );
        assert!(translates);
    }

    #[test]
    fn rules_of_several_moments_are_no_firewall() {
        let found = torn();
        assert!(found.chains.is_empty() && !found.unread.is_empty());
    }

    #[test]
    fn a_part_of_a_large_firewall_is_no_firewall() {
        let many = vec![Then::Accept; MOST_RULES + 1];
        let found = tables(vec![(NFPROTO_INET, "in", chain(Some(Hook::Input), false, &many))]).firewall();
        assert!(found.chains.is_empty());
        let unread: Vec<&str> = found.unread.iter().map(AsRef::as_ref).collect();
        assert_eq!(unread, ["the rules of nftables: they are 8193, more than 8192"]);
    }
}
