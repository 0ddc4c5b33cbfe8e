//! NFLOG rules as entries of a document: netkeel's own, and those of others that log the same packets.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use netkeel_core::nflog::entry_rules::EntryRules;
use netkeel_core::nflog::foreign::{ForeignRule, Interfaces};
use netkeel_core::nflog::rules::Rules;
use netkeel_document::draft::{Draft, Entry, NFLOG, quoted};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::nflog::NflogState;

/// Adds them.
pub(crate) fn add(host: &Snapshot, draft: &mut Draft) {
    let Some(nflog) = &host.nflog else { return };
    for (name, rules) in &nflog.entries {
        match rules {
            EntryRules::Rules(rules) => draft.entries.push(own(&name.to_string(), rules)),
            EntryRules::Changed => draft.note(format!(
                "the rules of nflog.{name}: another program changed them, so that no entry describes them"
            )),
            EntryRules::None => {}
        }
    }
    others(nflog, draft);
}

/// netkeel's own rules.
fn own(name: &str, rules: &Rules) -> Entry {
    let mut entry = Entry::named(NFLOG, name, format!("rules of chain inet netkeel nflog-{name}"));
    let parts: Vec<_> = rules.parts().collect();
    let interfaces: BTreeSet<String> = parts
        .iter()
        .flat_map(|(_, part)| part.interfaces.iter().map(ToString::to_string))
        .collect();
    let ignored: BTreeSet<IpNet> = parts
        .iter()
        .flat_map(|(_, part)| part.ignore_sources.iter().copied())
        .collect();
    entry.fields.push(("interfaces", list(&interfaces)));
    entry.fields.push(("group", rules.group.to_string()));
    if !ignored.is_empty() {
        entry.fields.push(("ignore_sources", list(&ignored)));
    }
    entry.fields.push(("snaplen", rules.snaplen.to_string()));
    entry
        .fields
        .push(("queue_threshold", rules.queue_threshold.to_string()));
    let mut prefilter = Vec::new();
    for (ipv6, part) in &parts {
        let key = if *ipv6 { "min_mtu_ipv6" } else { "min_mtu" };
        prefilter.extend(part.min_mtu.map(|mtu| format!("{key}: {mtu}")));
    }
    let largest = parts.iter().find_map(|(_, part)| part.max_mtu);
    prefilter.extend(largest.map(|mtu| format!("max_mtu: {mtu}")));
    if let Some(rate) = rules.rate {
        prefilter.push(format!("rate: {}", rate.per_second));
        prefilter.push(format!("burst: {}", rate.burst));
    }
    if !prefilter.is_empty() {
        entry
            .fields
            .push(("prefilter", format!("{{ {} }}", prefilter.join(", "))));
    }
    entry
}

/// Rules of other programs, an entry for each group. netkeel adds no rule for packets that they log already, so the
/// plan is empty as long as they are there.
fn others(nflog: &NflogState, draft: &mut Draft) {
    let mut groups: BTreeMap<u16, Vec<&ForeignRule>> = BTreeMap::new();
    for rule in &nflog.others {
        groups.entry(rule.group).or_default().push(rule);
    }
    for (group, rules) in groups {
        let usable = |rule: &&&ForeignRule| rule.whole && pattern(&rule.interfaces).is_some();
        for rule in rules.iter().filter(|rule| !usable(rule)) {
            let why = match rule.whole {
                true => "it names no interfaces to log from",
                false => "it logs only some of the messages, or a rule before it may end their way",
            };
            draft.note(format!("the rule `{rule}`: {why}"));
        }
        // An entry logs both families.
        let of_family = |ipv6: bool| -> BTreeSet<String> {
            let rules = rules.iter().filter(usable);
            let rules = rules.filter(|rule| if ipv6 { rule.ipv6 } else { rule.ipv4 });
            rules.filter_map(|rule| pattern(&rule.interfaces)).collect()
        };
        let (ipv4, ipv6) = (of_family(false), of_family(true));
        for rule in rules.iter().filter(usable) {
            let alone =
                pattern(&rule.interfaces).filter(|name| !(ipv4.contains(name) && ipv6.contains(name)));
            if alone.is_some() {
                draft.note(format!(
                    "the rule `{rule}`: it logs one family, and an entry of nflog logs both"
                ));
            }
        }
        let both: BTreeSet<String> = ipv4.intersection(&ipv6).cloned().collect();
        let found = rules
            .iter()
            .filter(usable)
            .filter(|rule| pattern(&rule.interfaces).is_some_and(|name| both.contains(&name)));
        let found: Vec<&&ForeignRule> = found.collect();
        let Some(first) = found.first() else { continue };
        let ignored: BTreeSet<IpNet> = found
            .iter()
            .flat_map(|rule| rule.ignored.iter().copied())
            .collect();
        let mut entry = Entry::named(
            NFLOG,
            format!("group-{group}"),
            format!("logged by `{first}`; adopt: yes replaces such rules"),
        );
        entry.fields.push(("interfaces", list(&both)));
        entry.fields.push(("group", group.to_string()));
        if !ignored.is_empty() {
            entry.fields.push(("ignore_sources", list(&ignored)));
        }
        // Of several, the smallest: a larger one would be a rule of its own.
        if let Some(snaplen) = found
            .iter()
            .map(|rule| rule.snaplen)
            .filter(|bytes| *bytes > 0)
            .min()
        {
            entry.fields.push(("snaplen", snaplen.to_string()));
        }
        draft.entries.push(entry);
    }
}

/// The interfaces of a rule as an item of `interfaces`.
fn pattern(interfaces: &Interfaces) -> Option<String> {
    match interfaces {
        Interfaces::Named(name) => Some(name.to_string()),
        Interfaces::Prefix(prefix) => Some(format!("{prefix}*")),
        Interfaces::All => Some("*".to_owned()),
        Interfaces::Except(_) => None,
    }
}

fn list<T: ToString>(items: &BTreeSet<T>) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}
