//! Interfaces as rules: those with equal values in one `match`, the others by name.

use std::collections::BTreeMap;

use crate::import::draft::{Draft, Entry, LINK, quoted};
use netkeel_core::name::link::LinkName;
use netkeel_core::rp_filter::RpFilter;
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// From so many interfaces on, one rule names them all.
const MANY: usize = 3;

/// The queue length that most devices start with (`DEFAULT_TX_QUEUE_LEN`, include/net/pkt_sched.h), packets.
const QUEUE: u32 = 1000;

/// Keys and values of an entry.
type Fields = Vec<(&'static str, String)>;

/// Adds the interfaces, but not those that netkeel never writes, and no tunnels in collect-metadata mode.
pub(crate) fn add(host: &Snapshot, draft: &mut Draft) {
    let mut groups: BTreeMap<(String, String), Vec<(LinkName, &Link)>> = BTreeMap::new();
    for (name, link) in &host.links {
        let text = name.to_string();
        if *name == LinkName::LOOPBACK || link.external || device_owner::refusal(&text).is_some() {
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
    for ((stem, kind), members) in groups {
        group(&stem, &kind, &members, draft);
    }
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

fn group(stem: &str, kind: &str, members: &[(LinkName, &Link)], draft: &mut Draft) {
    let named = |name: LinkName, fields: Fields, link: &Link| Entry {
        section: LINK,
        key: name.to_string(),
        condition: None,
        fields,
        comment: link
            .driver
            .as_deref()
            .map_or_else(|| kind.to_owned(), |driver| format!("{kind}, driver {driver}")),
    };
    let mut values: BTreeMap<Fields, usize> = BTreeMap::new();
    for (_, link) in members {
        *values.entry(fields(link)).or_default() += 1;
    }
    // Of two that are equally frequent, the first in order.
    let most = values.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
    let Some((common, number)) = most.filter(|(_, number)| **number >= MANY && !stem.is_empty()) else {
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
        condition: Some(format!(
            "name: {}, kind: {kind}",
            quoted(&format!("{}*", escaped(stem)))
        )),
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
    let mut key = format!("all-{plain}");
    if draft.entries.iter().any(|entry| entry.key == key) {
        key = format!("{key}-{kind}");
    }
    key
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
