//! Interfaces as rules: those with equal values in one `match`, the others by name.

use std::collections::BTreeMap;

use crate::import::selection::Selection;
use netkeel_core::name::link::LinkName;
use netkeel_core::rp_filter::RpFilter;
use netkeel_document::draft::{Draft, Entry, LINK, quoted, scalar};
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// From so many interfaces on, one rule names them all.
const MANY: usize = 3;

/// The queue length that most devices start with (`DEFAULT_TX_QUEUE_LEN`, include/net/pkt_sched.h), packets.
const QUEUE: u32 = 1000;

/// Keys and values of an entry.
type Fields = Vec<(&'static str, String)>;

/// Interfaces by the start of their names and their kind.
type Groups<'a> = BTreeMap<(String, String), Vec<(LinkName, &'a Link)>>;

/// Adds the interfaces, but not those that netkeel never writes, and no tunnels in collect-metadata mode. `selected`
/// is the selected part of the host.
pub(crate) fn add(selected: &Snapshot, host: &Snapshot, selection: &Selection, draft: &mut Draft) {
    for name in selected.links.keys().filter(|name| !is_text(**name)) {
        draft.leave_key_out(LINK, &name.to_string());
    }
    let all = groups(host);
    for ((stem, kind), members) in groups(selected) {
        let names: Vec<LinkName> = members.iter().map(|(name, _)| *name).collect();
        let whole = all
            .get(&(stem.clone(), kind.clone()))
            .is_some_and(|all| all.len() == members.len());
        // A rule must find no other interface.
        let pattern = match whole {
            true => Some(format!("{}*", escaped(&stem))),
            false => selection.pattern_of(&names).map(str::to_owned),
        };
        group(&stem, &kind, pattern, &members, draft);
    }
}

fn groups(host: &Snapshot) -> Groups<'_> {
    let mut groups = Groups::new();
    for (name, link) in &host.links {
        let text = name.to_string();
        let is_refused = device_owner::refusal(&text).is_some();
        if *name == LinkName::LOOPBACK || link.external || is_refused || !is_text(*name) {
            continue;
        }
        let kind = link.kind.as_deref().unwrap_or("physical");
        let group = match device_owner::keeper(&text) {
            // A rule does not match it.
            Some(_) => text,
            None => stem(&text),
        };
        groups
            .entry((group, kind.to_owned()))
            .or_default()
            .push((*name, link));
    }
    groups
}

/// Whether a document can hold the name: a document is UTF-8.
fn is_text(name: LinkName) -> bool {
    std::str::from_utf8(name.as_bytes()).is_ok()
}

/// Excludes the other end of a veth. False if it is excluded already.
pub(crate) fn leave_pod(draft: &mut Draft, name: LinkName) -> bool {
    let key = name.to_string();
    let leave = ("pod_mtu", "leave".to_owned());
    let named = |entry: &&mut Entry| entry.section == LINK && entry.key == key && entry.condition.is_none();
    match draft.entries.iter_mut().find(named) {
        Some(entry) if entry.fields.contains(&leave) => return false,
        Some(entry) => {
            entry.fields.retain(|(name, _)| *name != "pod_mtu");
            entry.fields.push(leave);
        }
        None => {
            let mut entry = Entry::named(LINK, key, "its pod differs");
            entry.fields.push(leave);
            draft.entries.push(entry);
        }
    }
    true
}

/// The beginning that the names of similar interfaces share: `cali` of `cali0a1b2c3d4e5`.
fn stem(name: &str) -> String {
    /// Prefixes of CNIs whose names go on with letters.
    const KNOWN: [&str; 8] = ["cali", "veth", "lxc", "azv", "eni", "gke", "tap", "vnet"];
    let known = KNOWN.iter().find(|prefix| name.starts_with(**prefix));
    match known {
        Some(prefix) => (*prefix).to_owned(),
        None => name
            .trim_end_matches(|char: char| char.is_ascii_digit())
            .to_owned(),
    }
}

fn group(stem: &str, kind: &str, pattern: Option<String>, members: &[(LinkName, &Link)], draft: &mut Draft) {
    let named = |name: LinkName, fields: Fields, link: &Link| Entry {
        section: LINK,
        key: name.to_string(),
        condition: None,
        fields,
        comment: origin(kind, link),
    };
    let mut values: BTreeMap<Fields, usize> = BTreeMap::new();
    for (_, link) in members {
        *values.entry(fields(link)).or_default() += 1;
    }
    // Of two that are equally frequent, the first in order.
    let most = values.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
    let pattern = pattern.filter(|_| !stem.is_empty());
    let many = most.filter(|(_, number)| **number >= MANY);
    let (Some((common, number)), Some(pattern)) = (many, pattern) else {
        draft.entries.extend(
            members
                .iter()
                .map(|(name, link)| named(*name, fields(link), link)),
        );
        return;
    };
    let key = free_key(stem, kind, draft);
    draft.entries.push(Entry {
        section: LINK,
        key,
        condition: Some(format!("name: {}, kind: {}", quoted(&pattern), scalar(kind))),
        fields: common.clone(),
        comment: format!("{number} interfaces"),
    });
    for (name, link) in members {
        let own = fields(link);
        if own != *common {
            // The rule counts for keys that this entry lacks.
            draft.entries.push(named(*name, own, link));
        }
    }
}

/// The comment of an interface.
fn origin(kind: &str, link: &Link) -> String {
    match link.driver.as_deref() {
        Some(driver) => format!("{kind}, driver {driver}"),
        None => kind.to_owned(),
    }
}

/// A name as a glob that matches only itself.
fn escaped(name: &str) -> String {
    let special = |char: char| "*?[]\\".contains(char);
    name.chars()
        .flat_map(|char| special(char).then_some('\\').into_iter().chain([char]))
        .collect()
}

/// A label that no interface has as its name, and no other rule.
fn free_key(stem: &str, kind: &str, draft: &Draft) -> String {
    let plain: String = stem.chars().filter(char::is_ascii_alphanumeric).collect();
    let label = match plain.as_str() {
        "" => "all".to_owned(),
        plain => format!("all-{plain}"),
    };
    if draft.has(LINK, &label) {
        return draft.free_key(LINK, &format!("{label}-{kind}"));
    }
    label
}

/// The settings of an interface that a document can declare.
fn fields(link: &Link) -> Fields {
    let mut fields = vec![("mtu", link.mtu.to_string())];
    if let Some(pod) = link
        .pod
        .as_deref()
        .filter(|pod| pod.mtu != link.mtu && pod.left_alone().is_none())
    {
        fields.push(("pod_mtu", pod.mtu.to_string()));
    }
    if let Some(mode) = link.rp_filter.and_then(|mode| RpFilter::from_number(mode.into())) {
        fields.push(("rp_filter", mode.to_string()));
    }
    if link.kind.is_none() && !matches!(link.txqueuelen, 0 | QUEUE) {
        fields.push(("txqueuelen", link.txqueuelen.to_string()));
    }
    fields
}
