//! Hiera data as a document: `netkeel::sysctl`, `netkeel::link` and the other parameters of the
//! class, merged as in Puppet, with facts filled in.

use std::collections::BTreeMap;

use crate::dialect::Reading;
use crate::hiera::facts::Facts;
use crate::hiera::merge::Strategy;
use crate::hiera::options::{OPTIONS, Options};
use crate::variables::{encrypted, is_section, refuse_no_map, refuse_nothing, refuse_texts, sections};
use crate::version::document;
use netkeel_core::text::escape::quoted;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};

const PREFIX: &str = "netkeel::";

/// The prefix that the class takes for a knock-out.
const KNOCKOUT: &str = "--";

/// The sections from which the class removes knock-outs.
const KNOCKED_OUT: [&str; 9] = [
    "limits",
    "link",
    "tunnel",
    "route",
    "nflog",
    "replicate",
    "probes",
    "cni",
    "wireguard",
];

/// Whether a key belongs to netkeel.
pub(crate) fn concerns(key: &str) -> bool {
    key.starts_with(PREFIX) || key == OPTIONS
}

/// Whether a key is a part of a document, or resembles one. The class has other parameters, and options of a lookup
/// may be those of other modules.
pub(crate) fn is_of_a_document(key: &str, keys: &[&str]) -> bool {
    is_section(key, PREFIX, keys)
}

/// The document from data files, the most general first.
pub(crate) fn layers(files: Vec<Node>, reading: &Reading<'_>, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let first = files.first().map(|file| file.span).unwrap_or_default();
    let mut merge = Merge {
        options: Options::of(&files),
        strategies: BTreeMap::new(),
    };
    let mut merged = Vec::new();
    let mut rest = files.as_slice();
    // From the most specific down, in lookup order.
    while !rest.is_empty() {
        let level = level_of(rest.len(), reading.levels);
        let (above, files) = rest.split_at(rest.len() - level);
        rest = above;
        // As in Puppet, the files of a level are merged first.
        let mut of_level = Vec::new();
        for file in files.iter().rev() {
            refuse_no_map(
                file,
                "a map of keys and their values",
                "docs/reference/sources.md lists what is read",
                diagnostics,
            );
            let mut sections = sections(file, PREFIX, reading.keys, diagnostics);
            fill_entries(&mut sections, &KeyPath::ROOT, reading.facts, diagnostics);
            merge.below(&mut of_level, sections, diagnostics);
        }
        merge.below(&mut merged, of_level, diagnostics);
    }
    for section in merged
        .iter_mut()
        .filter(|section| KNOCKED_OUT.contains(&section.key.as_str()))
    {
        without_knockouts(&mut section.value, &section.key);
    }
    for section in &mut merged {
        let path = KeyPath::ROOT.key(&section.key);
        refuse_texts(&mut section.value, &path, &encrypted, diagnostics);
    }
    if merged.is_empty() && !diagnostics.lost {
        refuse_nothing(first, "key `netkeel::sysctl`, `netkeel::link`, ...", diagnostics);
    }
    vec![document(merged, first)]
}

/// The number of files of the most specific level among the first `count` files.
fn level_of(count: usize, levels: &[usize]) -> usize {
    let mut first = 0;
    for level in levels {
        first += level;
        if first >= count {
            return (count + level - first).max(1);
        }
    }
    1
}

struct Merge<'a> {
    options: Options<'a>,
    /// The strategies of the keys that were seen: what is wrong with an option is reported once.
    strategies: BTreeMap<String, Strategy>,
}

impl Merge<'_> {
    /// Merges the sections of a more general file or level below those of more specific ones.
    fn below(&mut self, merged: &mut Vec<Entry>, sections: Vec<Entry>, diagnostics: &mut Diagnostics) {
        for section in sections {
            let strategy = match self.strategies.get(&section.key) {
                Some(strategy) => strategy.clone(),
                None => {
                    let strategy = self.options.strategy(PREFIX, &section.key, diagnostics);
                    self.strategies.insert(section.key.clone(), strategy.clone());
                    strategy
                }
            };
            let Some(above) = merged.iter_mut().find(|above| above.key == section.key) else {
                merged.push(section);
                continue;
            };
            let path = KeyPath::ROOT.key(&section.key);
            let upper = Node {
                span: above.value.span,
                data: std::mem::replace(&mut above.value.data, Data::Null),
            };
            above.value = strategy.merge(upper, section.value, &path, diagnostics);
        }
    }
}

/// The value without what the class drops: entries that a level knocked out, and prefixes of knock-outs
/// below which there was nothing to remove.
fn without_knockouts(node: &mut Node, key: &str) {
    if knocked_out(key, node) {
        node.data = Data::Null;
    }
    match &mut node.data {
        Data::Map(entries) => {
            entries.retain(|entry| !knocked_out(&entry.key, &entry.value));
            for entry in entries {
                without_knockouts(&mut entry.value, &entry.key);
            }
        }
        Data::List(items) => {
            items.retain(|item| !knocked_out("", item));
        }
        _ => {}
    }
}

/// Whether a value is what a knock-out leaves. An alias may be empty.
fn knocked_out(key: &str, value: &Node) -> bool {
    let out = |text: &str| text.starts_with(KNOCKOUT) || text.is_empty() && key != "alias";
    value.text().is_some_and(out)
}

fn fill_entries(entries: &mut [Entry], path: &KeyPath<'_>, facts: &Facts, diagnostics: &mut Diagnostics) {
    for entry in entries {
        if let Some(key) = fill(&entry.key, facts).transpose() {
            match key {
                Ok(key) => entry.key = key,
                Err(why) => {
                    diagnostics.add(entry.key_span, path, why).hint(HINT);
                }
            }
        }
        let below = path.key(&entry.key);
        fill_node(&mut entry.value, &below, facts, diagnostics);
    }
}

fn fill_node(node: &mut Node, path: &KeyPath<'_>, facts: &Facts, diagnostics: &mut Diagnostics) {
    match &mut node.data {
        Data::Text { value, .. } => match fill(value, facts) {
            Ok(Some(text)) => *value = text,
            Ok(None) => {}
            Err(why) => {
                diagnostics.add(node.span, path, why).hint(HINT);
                node.data = Data::Null;
            }
        },
        Data::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                fill_node(item, &path.index(index), facts, diagnostics);
            }
        }
        Data::Map(entries) => fill_entries(entries, path, facts, diagnostics),
        _ => {}
    }
}

pub(crate) const HINT: &str = "facts are given with --fact NAME=VALUE, or all of a host with --facts FILE";

/// The text with `%{facts.NAME}` filled in; `None` when there is nothing to fill in.
pub(crate) fn fill(text: &str, facts: &Facts) -> Result<Option<String>, String> {
    if !text.contains("%{") {
        return Ok(None);
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("%{") {
        let Some((inside, behind)) = after.split_once('}') else {
            break;
        };
        filled.push_str(before);
        filled.push_str(&value_of(inside.trim(), facts)?);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(Some(filled))
}

fn value_of(inside: &str, facts: &Facts) -> Result<String, String> {
    if let Some(literal) = inside
        .strip_prefix("literal(")
        .and_then(|inside| inside.strip_suffix(')'))
    {
        return Ok(literal.trim().trim_matches(['\'', '"']).to_owned());
    }
    if inside.ends_with(')') {
        return Err(format!(
            "netkeel does not follow {}",
            quoted(&format!("%{{{inside}}}"))
        ));
    }
    let name = without_prefix(inside);
    facts.get(name).cloned().ok_or_else(|| no_fact(name))
}

/// The name of a fact without its prefix.
pub(crate) fn without_prefix(name: &str) -> &str {
    let name = name.trim_start_matches("::");
    name.strip_prefix("facts.").unwrap_or(name)
}

pub(crate) fn no_fact(name: &str) -> String {
    format!("no fact {} is given", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::{outline, yaml};

    fn merged(files: &[&str], facts: &[(&str, &str)]) -> (String, Vec<String>) {
        merged_in(files, facts, &[])
    }

    fn merged_in(files: &[&str], facts: &[(&str, &str)], levels: &[usize]) -> (String, Vec<String>) {
        let facts = facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let reading = Reading {
            dialect: crate::dialect::Dialect::Hiera,
            keys: &["sysctl", "link", "nflog", "replicate", "owner"],
            facts: &facts.collect(),
            levels,
        };
        let mut diagnostics = Diagnostics::default();
        let files = files.iter().map(|text| yaml(text)).collect();
        let layers = layers(files, &reading, &mut diagnostics);
        let messages = diagnostics
            .list
            .into_iter()
            .map(|messages| messages.message)
            .collect();
        (layers.iter().map(outline).collect(), messages)
    }

    /// The expected results are those of `puppet lookup` (7.23), and of the class for what a host knocks out.
    #[test]
    fn a_host_replaces_vectors_and_knocks_out_items() {
        let common = "netkeel::sysctl: {net.ipv4.tcp_rmem: [4096, 131072, 6291456], a: 1}
netkeel::nflog: {ptb: {interfaces: [veth0], ignore_sources: [192.0.2.0/24]}}
netkeel::owner: site";
        let host = "netkeel::sysctl: {net.ipv4.tcp_rmem: [4096, 6291456, 6291456], a: ~}
netkeel::nflog: {ptb: {interfaces: [--veth0, veth1], ignore_sources: '--', snaplen: '--'}, other: '--'}
netkeel::link: {eth0: {alias: '', mtu: ''}, eth1: '--', pods: {match: {name: a, kind: --b}}}
netkeel::replicate: '--'
netkeel::owner: ~";
        let (tree, messages) = merged(&[common, host], &[]);
        assert_eq!(messages, [""; 0]);
        assert_eq!(
            tree,
            "{version: 1, sysctl: {net.ipv4.tcp_rmem: [4096, 6291456, 6291456], a: null}, nflog: {ptb: {interfaces: [<veth1>]}}, link: {eth0: {alias: \"\"}, pods: {match: {name: <a>}}}, replicate: null, owner: null}"
        );
    }

    /// A knock-out reaches the next level: here that of two files, of which each has the item.
    #[test]
    fn the_files_of_a_level_are_merged_first() {
        let files = [
            "netkeel::link: {a: {l: [x, y]}}",
            "netkeel::link: {a: {l: [x, z]}}",
            "netkeel::link: {a: {l: [--x]}}",
        ];
        assert_eq!(
            merged_in(&files, &[], &[2, 1]).0,
            "{version: 1, link: {a: {l: [<y>, <z>]}}}"
        );
        assert_eq!(
            merged_in(&files, &[], &[1, 1, 1]).0,
            "{version: 1, link: {a: {l: [<x>, <y>, <z>]}}}"
        );
        assert_eq!(merged_in(&files, &[], &[]), merged_in(&files, &[], &[1, 1, 1]));
        for (count, level) in [(6, 1), (5, 3), (2, 2)] {
            assert_eq!(level_of(count, &[2, 3, 1]), level);
        }
    }

    #[test]
    fn options_of_the_data_are_followed() {
        let common = "netkeel::link: {a: {x: 1}}\nnetkeel::sysctl: {a: [1, 2]}";
        let host = "netkeel::link: {a: {y: 2}}\nnetkeel::sysctl: {a: [3]}
lookup_options: {netkeel::link: {merge: hash}, netkeel::sysctl: {merge: deep}}";
        let (tree, messages) = merged(&[common, host], &[]);
        assert_eq!(messages, [""; 0]);
        assert_eq!(tree, "{version: 1, link: {a: {y: 2}}, sysctl: {a: [1, 2, 3]}}");
        let refused =
            "netkeel::sysctl: {}\nlookup_options: {netkeel::sysctl: {merge: unique}, ntp: {merge: unique}}";
        let (_, messages) = merged(&[refused], &[]);
        assert_eq!(messages, ["netkeel does not follow `unique` in `lookup_options`"]);
    }

    #[test]
    fn facts_are_filled_in_and_what_cannot_be_is_refused() {
        let text =
            "netkeel::link: {\"%{facts.networking.primary}\": \"a%{::kernel}%{kernel}%{literal('%')}{x}\"}";
        let facts = [("networking.primary", "eth0"), ("kernel", "Linux")];
        let (tree, messages) = merged(&[text], &facts);
        assert_eq!(messages, [""; 0]);
        assert_eq!(tree, "{version: 1, link: {eth0: \"aLinuxLinux%{x}\"}}");
        let (_, messages) = merged(&[text, "netkeel::sysctl: {a: \"%{lookup('b')}\"}"], &[]);
        assert_eq!(
            messages,
            [
                "netkeel does not follow `%{lookup('b')}`",
                "no fact `networking.primary` is given",
                "no fact `kernel` is given"
            ]
        );
    }

    #[test]
    fn other_keys_are_of_others_and_near_ones_are_slips() {
        let (tree, messages) = merged(
            &["netkeel::package_ensure: latest\nntp::servers: []\nnetkeel::sysctl: {a: 1}"],
            &[],
        );
        assert_eq!(
            (tree.as_str(), messages.len()),
            ("{version: 1, sysctl: {a: 1}}", 0)
        );
        let (_, messages) = merged(&["netkeel::sysctls: {a: 1}"], &[]);
        assert_eq!(
            messages,
            [
                "`netkeel::sysctls` is not a key that netkeel reads",
                "nothing here is for netkeel: no key `netkeel::sysctl`, `netkeel::link`, ..."
            ]
        );
    }

    #[test]
    fn what_is_encrypted_is_no_value_unless_a_level_above_has_one() {
        let common =
            "netkeel::link: {a: 'ENC[PKCS7,MIIB]', b: ['> ENC[GPG,MIIB] <']}\npass: 'ENC[PKCS7,MIIB]'";
        let (_, messages) = merged(&[common, "netkeel::link: {a: 1}"], &[]);
        assert_eq!(messages, ["a value that is encrypted by eyaml"]);
    }

    #[test]
    fn a_file_that_holds_no_map_is_refused() {
        for text in ["[1]", "$ANSIBLE_VAULT;1.1;AES256\n6638", "text"] {
            let (_, messages) = merged(&[text, "netkeel::link: {a: 1}"], &[]);
            assert_eq!(messages.len(), 1, "{text}: {messages:?}");
        }
        let (_, messages) = merged(&["", "---", "netkeel::link: {a: 1}"], &[]);
        assert_eq!(messages, [""; 0]);
    }
}
