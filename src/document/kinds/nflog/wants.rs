//! The wants of an `nflog` section: its rules, except where another program logs the same packets,
//! and the removal of other programs' rules that it adopts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kinds::kind::Section;
use crate::kinds::nflog::entry::{Entry, MOST_INTERFACES, Pattern};
use crate::kinds::required::Required;
use ipnet::IpNet;

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

/// Bytes of the longest ICMP error (RFC 1812, 4.3.2.3).
const LONGEST_IPV4: u32 = 576;

/// Bytes of the longest ICMPv6 error: the smallest MTU of IPv6 (RFC 4443, 2.4).
const LONGEST_IPV6: u32 = 1280;

/// The `nflog` section of a document.
#[derive(Debug)]
pub(crate) struct Logging {
    pub netns: Netns,
    pub entries: Vec<(EntryName, Entry, Span)>,
}

impl Section for Logging {
    fn scope(&self, scope: &mut Scope) {
        scope.nflog |= !self.entries.is_empty();
        let mut entries = self.entries.iter().map(|(_, entry, _)| entry);
        scope.next_hops |= entries.clone().any(|entry| !entry.ignore_sources.is_empty());
        scope.default_routes |=
            entries.any(|entry| entry.patterns.values().any(|one| *one == Pattern::DefaultRoute));
    }

    /// A new interface may have a name that a pattern matches. Default routes have events of their own.
    fn has_budgets(&self) -> bool {
        let mut entries = self.entries.iter().map(|(_, entry, _)| entry);
        entries.any(|entry| entry.patterns.values().any(|one| *one != Pattern::DefaultRoute))
    }

    fn wants(&self, host: &Snapshot, wants: &mut Wants) {
        let nothing = NflogState::empty(Support::Unknown);
        // If the state was not read, the plan reports that for each fact.
        let observed = host.nflog.as_ref().unwrap_or(&nothing);
        let bound = self.bind(host, wants);
        for (name, entry, span) in &bound {
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
        adopt(&self.netns, &bound, observed, wants);
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
    /// The entries with the interfaces that they find on the host, without those that cannot be planned.
    fn bind(&self, host: &Snapshot, wants: &mut Wants) -> Vec<(EntryName, Entry, Span)> {
        let mut bound: Vec<(EntryName, Entry, Span)> = Vec::new();
        for (name, entry, span) in &self.entries {
            let found = entry.on(host);
            let place = EntryPlace {
                name,
                entry: &found,
                span: *span,
            };
            let fact = Fact::nflog(&self.netns, name);
            let twice = bound.iter().find_map(|(other, earlier, _)| {
                let mut both = earlier.interfaces.intersection(&found.interfaces);
                both.next()
                    .filter(|_| earlier.group == found.group)
                    .map(|link| (other, link))
            });
            let wrong = if entry.patterns.values().any(|one| one.find(host).is_none()) {
                Some("the default routes could not be read".to_owned())
            } else if found.interfaces.len() > MOST_INTERFACES {
                let number = found.interfaces.len();
                Some(format!(
                    "it finds {number} interfaces, and an entry has at most {MOST_INTERFACES}"
                ))
            } else {
                twice.map(|(other, link)| {
                    format!(
                        "the packets of {link} would be logged to group {} twice, by nflog.{other} too",
                        found.group
                    )
                })
            };
            if let Some(message) = wrong {
                let path = place.path(Some("interfaces"));
                let diagnostic = wants.diagnostics.add(*span, path, message);
                diagnostic.concerns(&fact);
                continue;
            }
            place.unmatched(entry, host, wants);
            bound.push((name.clone(), found, *span));
        }
        bound
    }
}

/// Wants the removal, for each group, of the rules that an entry adopts.
fn adopt(netns: &Netns, entries: &[(EntryName, Entry, Span)], observed: &NflogState, wants: &mut Wants) {
    let mut taken: BTreeMap<u16, (EntryPlace<'_>, BTreeSet<LinkName>)> = BTreeMap::new();
    for (name, entry, span) in entries.iter().filter(|(_, entry, _)| entry.adopt) {
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
        wants.add(Fact::log_group(netns, group), place.want(value, Some("adopt")));
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

    /// Reports patterns that find no interface.
    fn unmatched(&self, entry: &Entry, host: &Snapshot, wants: &mut Wants) {
        let path = self.path(Some("interfaces"));
        for (text, pattern) in &entry.patterns {
            if pattern.find(host).is_some_and(|found| found.is_empty()) {
                Required::at(entry.required).not_found(
                    &self.path(None),
                    &format!("no interface {text}"),
                    wants,
                );
                if let Pattern::LongName(name) = pattern {
                    wants.long_name_absent(name, &path);
                    continue;
                }
                let (what, remedy) = match pattern {
                    Pattern::DefaultRoute => (
                        "there is no default route, and so no interface".to_owned(),
                        "name an interface, or add a default route",
                    ),
                    Pattern::Glob(_) | Pattern::LongName(_) => (
                        format!("`{text}` finds no interface"),
                        "look for a misspelt pattern; interfaces that appear later are found then",
                    ),
                };
                wants.findings.add(Code::NK073, &path, what, remedy);
                wants.unmatched.push(path.as_str().into());
            }
        }
    }

    /// The messages of a family that the entry logs and a rule leaves out.
    fn left_out(&self, rule: &ForeignRule, ipv6: bool) -> Vec<String> {
        let own = &self.entry.ignore_sources;
        let mut left: Vec<String> = rule
            .ignored
            .iter()
            .filter(|net| matches!(net, IpNet::V6(_)) == ipv6)
            .filter(|net| !own.iter().any(|known| known.contains(*net)))
            .map(|net| format!("messages from {net}"))
            .collect();
        let whole = self
            .entry
            .snaplen
            .min(if ipv6 { LONGEST_IPV6 } else { LONGEST_IPV4 });
        if rule.snaplen > 0 && rule.snaplen < whole {
            left.push(format!("the bytes of a message after the first {}", rule.snaplen));
        }
        left
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
                    && self.left_out(rule, ipv6).is_empty()
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
            Required::at(entry.required).not_found(&self.path(None), &format!("no interface {name}"), wants);
            let message = format!("`{}` names it and it is not there", self.path(Some("interfaces")));
            wants.findings.add(
                Code::NK005,
                name,
                message,
                "its rules wait for it; look for a misspelt name",
            );
        }
        for rule in observed.others.iter().filter(|rule| {
            rule.group == entry.group
                && entry.interfaces.iter().any(|name| rule.interfaces.cover(*name))
                && !self.takes_the_place_of(rule)
        }) {
            let families = [(rule.ipv4, false), (rule.ipv6, true)].into_iter();
            let families = families.filter_map(|(logged, ipv6)| logged.then_some(ipv6));
            let left: BTreeSet<String> = families.flat_map(|ipv6| self.left_out(rule, ipv6)).collect();
            if rule.whole && left.is_empty() {
                continue;
            }
            let mut message = format!(
                "`{rule}` logs some of the same packets to group {}, which a reader then sees twice",
                entry.group
            );
            if !left.is_empty() {
                let left: Vec<String> = left.into_iter().collect();
                message = format!("{message}; it leaves out {}", left.join(" and "));
            }
            let remedy = match rule.content {
                Some(_) => "adopt: true takes its place; or choose another group, or remove that rule",
                None => "choose another group, or remove that rule",
            };
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
