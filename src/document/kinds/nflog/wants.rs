//! The wants of an `nflog` section: its rules, except where another program logs the same packets,
//! and the removal of other programs' rules that it adopts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kinds::kind::Section;
use crate::kinds::nflog::entry::Entry;
use crate::section_name::SectionName;
use crate::want::wants::Wants;
use crate::want::{Origin, Want};
use netkeel_core::fact::{Fact, Value};
use netkeel_core::finding::Code;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::nflog::entry_rules::EntryRules;
use netkeel_core::nflog::foreign::{ForeignRule, Writer};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::nflog::NflogState;
use netkeel_host::snapshot::reading::Support;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::node::path::KeyPath;
use netkeel_source::span::Span;

/// The groups to which Calico's Felix logs (felix/rules, NFLOG of policies).
const OF_FELIX: [u16; 2] = [1, 2];

/// The `nflog` section of a document.
#[derive(Debug)]
pub(crate) struct Logging {
    pub netns: Netns,
    pub entries: Vec<(EntryName, Entry, Span)>,
}

impl Section for Logging {
    fn scope(&self, scope: &mut Scope) {
        scope.nflog |= !self.entries.is_empty();
    }

    fn wants(&self, host: &Snapshot, wants: &mut Wants) {
        let nothing = NflogState::empty(Support::Unknown);
        // If the state was not read, the plan reports that for each fact.
        let observed = host.nflog.as_ref().unwrap_or(&nothing);
        for (name, entry, span) in &self.entries {
            let place = EntryPlace {
                name,
                entry,
                span: *span,
            };
            let fact = Fact::nflog(&self.netns, name);
            if place.possible(observed, &fact, wants) {
                place.tell(host, observed, wants);
                let value = place.value(observed, wants);
                wants.add(fact, place.want(value, None));
            }
        }
        self.adopt(observed, wants);
        for stranger in &observed.strangers {
            wants.findings.add(
                Code::NK032,
                stranger,
                "another program put it into the table inet netkeel: netkeel keeps it and cannot remove the table",
                "move it into a table of its own",
            );
        }
    }

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        Vec::new()
    }
}

impl Logging {
    /// Wants the removal, for each group, of the rules that an entry adopts.
    fn adopt(&self, observed: &NflogState, wants: &mut Wants) {
        let mut taken: BTreeMap<u16, (EntryPlace<'_>, BTreeSet<LinkName>)> = BTreeMap::new();
        for (name, entry, span) in self.entries.iter().filter(|(_, entry, _)| entry.adopt) {
            let place = EntryPlace {
                name,
                entry,
                span: *span,
            };
            let (_, interfaces) = taken
                .entry(entry.group)
                .or_insert_with(|| (place, BTreeSet::new()));
            interfaces.extend(&entry.interfaces);
        }
        for (group, (place, interfaces)) in taken {
            let mut after = observed.clone();
            let goes = |rule: &&ForeignRule| {
                rule.group == group && rule.interface().is_some_and(|name| interfaces.contains(&name))
            };
            let gone: Vec<ForeignRule> = observed.others.iter().filter(goes).cloned().collect();
            after.remove(&gone);
            let value = Value::ForeignRules(after.removable(group));
            wants.add(
                Fact::log_group(&self.netns, group),
                place.want(value, Some("adopt")),
            );
        }
    }
}

/// An entry with its place in the document.
struct EntryPlace<'a> {
    name: &'a EntryName,
    entry: &'a Entry,
    span: Span,
}

impl EntryPlace<'_> {
    fn path(&self, field: Option<&str>) -> String {
        let name = self.name.to_string();
        let mut keys = vec!["nflog", name.as_str()];
        keys.extend(field);
        KeyPath::of(&keys)
    }

    fn want(&self, value: Value, field: Option<&str>) -> Want {
        Want::new(
            value,
            Origin::named(self.span, SectionName::Nflog, self.path(field)),
        )
    }

    /// Whether the kernel supports the rules; reports why not.
    fn possible(&self, observed: &NflogState, fact: &Fact, wants: &mut Wants) -> bool {
        if let Support::Missing { module } = &observed.support {
            let message =
                format!("the kernel has no module {module}, which it takes to log to an NFLOG group");
            wants
                .diagnostics
                .add(self.span, self.path(None), message)
                .concerns(fact)
                .hint("it comes with a kernel built with CONFIG_NF_TABLES_INET, CONFIG_NFT_LOG and CONFIG_NETFILTER_NETLINK_LOG");
            return false;
        }
        let mut possible = true;
        for rule in observed
            .others
            .iter()
            .filter(|rule| self.entry.adopt && self.is_covered_by(rule))
        {
            if self.takes_the_place_of(rule) {
                continue;
            }
            possible = false;
            let why = match rule.writer {
                Writer::IptablesLegacy => "netkeel changes no table of iptables-legacy",
                Writer::Nft => "netkeel takes away rules of iptables only",
                Writer::IptablesNft => "it is for other interfaces too",
            };
            wants
                .diagnostics
                .add(
                    self.span,
                    self.path(Some("adopt")),
                    format!("the place of `{rule}` cannot be taken: {why}"),
                )
                .concerns(fact)
                .hint(format!("delete it first: {}", rule.removal()))
                .hint("without adopt, netkeel's rules skip what it logs");
        }
        possible
    }

    /// Whether the rule logs to the group all messages of a family from one of the interfaces.
    fn is_covered_by(&self, rule: &ForeignRule) -> bool {
        let entry = self.entry;
        rule.whole
            && rule.group == entry.group
            && entry.interfaces.iter().any(|name| rule.interfaces.cover(*name))
    }

    fn takes_the_place_of(&self, rule: &ForeignRule) -> bool {
        let own = rule
            .interface()
            .is_some_and(|name| self.entry.interfaces.contains(&name));
        self.entry.adopt && rule.content.is_some() && own
    }

    /// The wanted rules, without packets that other programs log already.
    fn value(&self, observed: &NflogState, wants: &mut Wants) -> Value {
        let covering = |name: LinkName, ipv6: bool| {
            observed.others.iter().find(|rule| {
                let of_family = if ipv6 { rule.ipv6 } else { rule.ipv4 };
                of_family
                    && self.is_covered_by(rule)
                    && rule.interfaces.cover(name)
                    && !self.takes_the_place_of(rule)
            })
        };
        let mut left: BTreeMap<&ForeignRule, Vec<String>> = BTreeMap::new();
        for name in &self.entry.interfaces {
            for (ipv6, word) in [(false, "ICMP"), (true, "ICMPv6")] {
                if let Some(rule) = covering(*name, ipv6) {
                    left.entry(rule).or_default().push(format!("{word} of {name}"));
                }
            }
        }
        for (rule, what) in left {
            let message = format!(
                "`{rule}` logs {} to group {} already: netkeel's rules skip that, so that nothing is logged twice",
                what.join(" and "),
                rule.group
            );
            let remedy = match rule.content {
                Some(_) => format!("adopt: true takes its place; or remove it: {}", rule.removal()),
                None => format!("remove it to have netkeel's rules: {}", rule.removal()),
            };
            wants.findings.add(Code::NK030, self.path(None), message, remedy);
        }
        let rules = self.entry.rules(|name, ipv6| covering(name, ipv6).is_some());
        Value::Nflog(rules.map_or(EntryRules::None, |rules| EntryRules::Rules(Arc::new(rules))))
    }

    /// Adds findings about the entry.
    fn tell(&self, host: &Snapshot, observed: &NflogState, wants: &mut Wants) {
        let entry = self.entry;
        for name in entry
            .interfaces
            .iter()
            .filter(|name| !host.links.contains_key(*name))
        {
            let message = format!("`{}` names it and it is not there", self.path(Some("interfaces")));
            wants.findings.add(
                Code::NK005,
                name,
                message,
                "its rules wait for it; look for a misspelt name",
            );
        }
        let partly = |rule: &&ForeignRule| {
            !rule.whole
                && rule.group == entry.group
                && entry.interfaces.iter().any(|name| rule.interfaces.cover(*name))
        };
        for rule in observed.others.iter().filter(partly) {
            let message = format!(
                "`{rule}` logs some of the same packets to group {}, which a reader then sees twice",
                entry.group
            );
            let remedy = "choose another group, or remove that rule";
            wants.findings.add(Code::NK031, self.path(None), message, remedy);
        }
        if OF_FELIX.contains(&entry.group) {
            wants.findings.add(
                Code::NK033,
                self.path(Some("group")),
                format!("Calico's Felix logs to group {} and reads it", entry.group),
                "choose another group, as 33",
            );
        }
        if let Some(listener) = observed.listeners.get(&entry.group) {
            let program = listener.program.as_deref().unwrap_or("a program");
            if !program.starts_with("netkeel") {
                let message = format!(
                    "{program} (netlink port {}) has bound group {}, and a group has one reader",
                    listener.port, entry.group
                );
                wants.findings.add(
                    Code::NK034,
                    self.path(Some("group")),
                    message,
                    "stop it, or choose another group",
                );
            }
        }
    }
}
