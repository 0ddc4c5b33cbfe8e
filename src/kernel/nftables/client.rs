//! nftables by netlink: netkeel's own table, and the rules of others that do what it does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;

use crate::files::read;
use crate::modules;
use crate::netlink::refusal::{Refusal, error};
use crate::netlink::socket::Socket;
use crate::nftables::conditions::Conditions;
use crate::nftables::foreign::RulePosition;
use crate::nftables::foreign::reach::{self, Base, Step};
use crate::nftables::protocol::{NF_DROP, NF_INET_PRE_ROUTING, NFPROTO_INET};
use crate::nftables::ruleset::{Chain, Rule, Ruleset, Set};
use crate::nftables::table::{content, family_word, is_as_made, is_of};
use crate::nftables::{foreign, legacy, rules, ruleset, write};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::nflog::entry_name::{EntryName, TABLE};
use netkeel_core::nflog::entry_rules::EntryRules;
use netkeel_core::nflog::foreign::ForeignRule;
use netkeel_core::nflog::rules::Rules;
use netkeel_host::snapshot::nflog::{Listener, NflogState};
use netkeel_host::snapshot::problem::Problem;
use netkeel_host::snapshot::reading::Support;

/// Modules that the rules need: nftables itself, its expression that logs, and the logger behind that.
pub(crate) const MODULES: [&str; 3] = ["nf_tables", "nft_log", "nfnetlink_log"];

/// The nftables of a namespace, reached when it is first needed.
#[derive(Default)]
pub struct Nftables(Option<Socket>);

impl Nftables {
    fn socket(&mut self) -> Result<&mut Socket, Refusal> {
        match &mut self.0 {
            Some(socket) => Ok(socket),
            empty => Ok(empty.insert(Socket::open_netfilter()?)),
        }
    }

    /// Reads the rules that log to groups in this namespace. Reading loads no module into the kernel.
    pub fn observe(&mut self, release: &str, problems: &mut Vec<Problem>) -> Result<NflogState, Error> {
        let mut observed = NflogState::empty(modules::all_of(&MODULES, release));
        observed.listeners = listeners();
        let legacy = legacy::read(problems);
        observed.others = reach::rules(&legacy);
        observed.sort();
        if modules::would_be_loaded(MODULES[0], release)
            || matches!(observed.support, Support::Missing { .. })
        {
            return Ok(observed);
        }
        told(self.socket().and_then(ruleset::read), legacy, observed)
    }

    /// Gives an entry these rules, or none.
    pub fn set(&mut self, name: &EntryName, rules: Option<&Rules>) -> Result<(), Error> {
        self.change(|ruleset| match rules {
            Some(rules) => write::set(ruleset, name, rules),
            None => Ok(write::remove(ruleset, name)),
        })
    }

    /// Takes away rules of others.
    pub fn delete(&mut self, rules: &[ForeignRule]) -> Result<(), Error> {
        self.change(|ruleset| Ok(write::delete(ruleset, rules)))
    }

    /// Puts rules of others back where they were.
    pub fn insert(&mut self, rules: &[ForeignRule]) -> Result<(), Error> {
        self.change(|ruleset| write::insert(ruleset, rules))
    }

    /// Changes what was just read, all at once; again when somebody else changed it since (ERESTART).
    fn change(
        &mut self,
        requests: impl Fn(&Ruleset) -> Result<Vec<crate::netlink::message::Request>, Error>,
    ) -> Result<(), Error> {
        /// A ruleset is rewritten by another program a few times a second at most.
        const ATTEMPTS: u32 = 20;
        let socket = self.socket().map_err(refused)?;
        let mut attempt = 1;
        loop {
            let Some(ruleset) = ruleset::read(socket).map_err(refused)? else {
                if attempt == ATTEMPTS {
                    return Err(torn());
                }
                attempt += 1;
                continue;
            };
            let requests = requests(&ruleset)?;
            if requests.is_empty() {
                return Ok(());
            }
            match socket.batch(write::batch(ruleset.generation, requests)) {
                Err(refusal) if refusal.errno == Errno::ERESTART && attempt < ATTEMPTS => attempt += 1,
                result => return result.map_err(refused),
            }
        }
    }
}

/// nfnetlink does not know nftables, or the kernel does not know nfnetlink.
pub(crate) fn is_unknown(refusal: &Refusal) -> bool {
    matches!(
        refusal.errno,
        Errno::EINVAL | Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT
    ) && refusal.text.is_none()
}

/// The error of a change. Some mean that a module is missing.
fn refused(refusal: Refusal) -> Error {
    let missing = |modules: &str, config: &str| {
        let message =
            format!("this kernel cannot log to NFLOG groups by nftables: it has no module {modules}");
        Error::new(ErrorKind::Unsupported, message).hint(format!(
            "install the package that brings it, or use a kernel built with {config}"
        ))
    };
    match refusal.errno {
        Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT => missing("nfnetlink", "CONFIG_NETFILTER_NETLINK"),
        Errno::EOPNOTSUPP => missing(
            "nf_tables, or it is without the family inet",
            "CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET",
        ),
        // An expression or a logger that is not there (`nft_expr_type_get`, `nf_logger_find_get`).
        Errno::ENOENT => missing(
            "nft_log or nfnetlink_log",
            "CONFIG_NFT_LOG and CONFIG_NETFILTER_NETLINK_LOG",
        ),
        _ => error(refusal),
    }
}

/// Adds what was read to what is known without it. The chains of iptables-legacy are among those that packets come to.
fn told(
    read: Result<Option<Ruleset>, Refusal>,
    legacy: Vec<Base>,
    mut observed: NflogState,
) -> Result<NflogState, Error> {
    match read {
        Ok(Some(ruleset)) => {
            tell(&ruleset, legacy, &mut observed);
            observed.sort();
            Ok(observed)
        }
        Ok(None) => Err(torn()),
        Err(refusal) if is_unknown(&refusal) => {
            observed.support = Support::Missing {
                module: MODULES[0].into(),
            };
            Ok(observed)
        }
        Err(refusal) => Err(Error::from(refusal).context("reading the rules of nftables")),
    }
}

/// Each attempt to read the rules met a change.
fn torn() -> Error {
    let message = "the rules of nftables changed while they were read";
    Error::new(ErrorKind::Unreadable, message).hint("another program rewrites them; try again")
}

/// Tells a ruleset in netkeel's words.
fn tell(ruleset: &Ruleset, mut bases: Vec<Base>, observed: &mut NflogState) {
    for chain in &ruleset.own {
        let entry = EntryName::of_chain(&chain.name);
        let shown = foreign::printable(&chain.name);
        let ours: Vec<&Rule> = chain.rules.iter().filter(|rule| rule.is_ours()).collect();
        if let Some(name) = &entry
            && !ours.is_empty()
        {
            let rules = entry_rules(ruleset, chain, name, &ours);
            observed.entries.insert(name.clone(), rules);
        }
        for (number, rule) in chain.rules.iter().enumerate() {
            if entry.is_none() || !rule.is_ours() {
                let stranger = format!("rule {} of the chain {shown}", number + 1);
                observed.strangers.push(stranger.into());
            }
        }
        if chain.rules.is_empty() && entry.is_none() {
            observed.strangers.push(format!("the chain {shown}").into());
        }
    }
    let nftables = ruleset.own.iter().chain(&ruleset.others);
    bases.extend(nftables.filter(|chain| !chain.dormant).filter_map(base));
    observed.others = reach::rules(&bases);
}

/// The chain as packets come to its rules; none for one that the kernel does not call when they arrive.
fn base(chain: &Chain) -> Option<Base> {
    let Some((NF_INET_PRE_ROUTING, priority)) = chain.hook else {
        return None;
    };
    let mut base = Base::new(priority, chain.kind == "nat");
    let mut place = RulePosition {
        family: family_word(chain.family),
        table: foreign::printable(&chain.table),
        chain: foreign::printable(&chain.name),
        position: 0,
    };
    for rule in &chain.rules {
        place.position += 1;
        let conditions = Conditions::of(&rule.expressions, place.protocol());
        let is_own = chain.family == NFPROTO_INET && chain.table == TABLE;
        let content = content(rule, conditions.protocol);
        let logs = (!is_own).then(|| foreign::judge(&place, false, &conditions, content));
        base.steps.push(Step {
            logs: logs.flatten(),
            end: reach::end(&rule.expressions),
            conditions,
        });
    }
    if chain.policy == Some(NF_DROP) {
        base.drops(place.protocol());
    }
    Some(base)
}

/// The rules of an entry, when they and what is around them are as netkeel makes it.
fn entry_rules(ruleset: &Ruleset, chain: &Chain, name: &EntryName, ours: &[&Rule]) -> EntryRules {
    let expressions: Vec<_> = ours.iter().map(|rule| rule.expressions.clone()).collect();
    let rules = rules::read(name, &expressions).filter(|rules| {
        let sets = ruleset.sets.iter().filter(|set| is_of(set, name));
        let mut wanted = write::sets(name, rules);
        let mut found: Vec<Set> = sets.cloned().collect();
        wanted.sort_by(|a, b| a.name.cmp(&b.name));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        is_as_made(ruleset, chain) && reach::is_free(chain) && wanted == found
    });
    rules.map_or(EntryRules::Changed, |rules| EntryRules::Rules(Arc::new(rules)))
}

/// The readers of groups. Those that cannot be read are left out: no fact depends on them.
fn listeners() -> BTreeMap<u16, Listener> {
    let table = read::system("/proc/thread-self/net/netfilter/nfnetlink_log").unwrap_or_default();
    let mut listeners = BTreeMap::new();
    for line in table.lines() {
        // Group, port, packets queued and more (`seq_show`, net/netfilter/nfnetlink_log.c).
        let mut words = line.split_ascii_whitespace();
        let group = words.next().and_then(|word| word.parse().ok());
        let port = words.next().and_then(|word| word.parse().ok());
        if let (Some(group), Some(port)) = (group, port) {
            let program: Option<String> = read::system(Path::new("/proc").join(format!("{port}/comm"))).ok();
            let program = program.map(|name| foreign::printable(name.trim_end()));
            listeners.insert(group, Listener { port, program });
        }
    }
    listeners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_several_moments_are_unread_and_not_absent() {
        let known = || NflogState::empty(Support::Yes);
        let error = told(Ok(None), Vec::new(), known()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreadable);
        assert!(error.message.contains("changed while they were read"));
        let empty = told(Ok(Some(Ruleset::default())), Vec::new(), known()).unwrap();
        assert_eq!(empty, known());
        let unknown = told(Err(Errno::EOPNOTSUPP.into()), Vec::new(), known()).unwrap();
        assert!(matches!(unknown.support, Support::Missing { .. }));
        assert!(told(Err(Errno::EPERM.into()), Vec::new(), known()).is_err());
    }
}
