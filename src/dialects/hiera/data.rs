//! Hiera data as a document: `netkeel::sysctl`, `netkeel::link` and the other parameters of the
//! class, deep-merged as in Puppet, with facts filled in.

use crate::dialect::Reading;
use crate::hiera::facts::Facts;
use crate::variables::{encrypted, refuse_no_map, refuse_nothing, refuse_texts, sections};
use crate::version::document;
use netkeel_core::text::escape::quoted;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::merge::places;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};

const PREFIX: &str = "netkeel::";

/// The key that sets how other keys are merged.
const OPTIONS: &str = "lookup_options";

/// Whether a key belongs to netkeel.
pub(crate) fn concerns(key: &str) -> bool {
    key.starts_with(PREFIX) || key == OPTIONS
}

/// The document from data files, the most general first.
pub(crate) fn layers(files: Vec<Node>, reading: &Reading<'_>, diagnostics: &mut Diagnostics) -> Vec<Node> {
    let first = files.first().map(|file| file.span).unwrap_or_default();
    let mut merged: Vec<Entry> = Vec::new();
    // From the most specific down, in lookup order.
    for file in files.iter().rev() {
        refuse_no_map(
            file,
            "a map of keys and their values",
            "docs/reference/sources.md lists what is read",
            diagnostics,
        );
        refuse_options(file, reading.keys, diagnostics);
        let mut sections = sections(file, PREFIX, reading.keys, diagnostics);
        fill_entries(&mut sections, &KeyPath::ROOT, reading.facts, diagnostics);
        for section in sections {
            match merged.iter_mut().find(|above| above.key == section.key) {
                Some(above) => above.value = merge(section.value, take(&mut above.value)),
                None => merged.push(section),
            }
        }
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

/// The class asks for a deep merge; reports data that asks for another merge of a key that is read.
fn refuse_options(file: &Node, keys: &[&str], diagnostics: &mut Diagnostics) {
    let options = file.get(OPTIONS).map(Node::entries).unwrap_or_default();
    for option in options {
        if !concerns_read(&option.key, keys) {
            continue;
        }
        let Some(merge) = option.value.get("merge") else {
            continue;
        };
        let strategy = merge.get("strategy").unwrap_or(merge);
        let plain = merge.entries().iter().all(|entry| entry.key == "strategy");
        if strategy.text() != Some("deep") || !plain {
            diagnostics
                .add(
                    merge.span,
                    KeyPath::of(&[OPTIONS, &option.key, "merge"]),
                    "netkeel follows deep merges without options only",
                )
                .hint("plan this with Puppet, or leave the merge to the class");
        }
    }
}

/// Whether options for this key, or for a regular expression, may apply to a key that is read. Only
/// the part of an expression before its first metacharacter is checked.
fn concerns_read(option: &str, keys: &[&str]) -> bool {
    let Some(pattern) = option.strip_prefix('^') else {
        return option.strip_prefix(PREFIX).is_some_and(|key| keys.contains(&key));
    };
    let Some(pattern) = pattern.strip_prefix(PREFIX) else {
        return false;
    };
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = pattern.find(|letter| !word(letter)).unwrap_or(pattern.len());
    let (literal, rest) = pattern.split_at(end);
    let begins = |word: &str| keys.iter().any(|key| key.starts_with(word));
    match rest {
        "" => begins(literal),
        "$" => keys.contains(&literal),
        _ if rest.contains('|') => true,
        // A repetition operator applies to the last letter, which may be absent.
        _ => begins(literal.get(..literal.len().saturating_sub(1)).unwrap_or_default()),
    }
}

/// A deep merge as in Puppet. Maps merge by key, and lists as a union with the lower list's items
/// first. Otherwise the upper value wins, unless it is null.
fn merge(lower: Node, upper: Node) -> Node {
    let data = match (lower.data, upper.data) {
        (data, Data::Null) => {
            return Node {
                span: lower.span,
                data,
            };
        }
        (Data::Map(lower), Data::Map(upper)) => Data::Map(merge_entries(lower, upper)),
        (Data::List(lower), Data::List(upper)) => Data::List(union(lower, upper)),
        (_, data) => data,
    };
    Node {
        span: upper.span,
        data,
    }
}

/// Keeps the lower map's order. A list that only the upper map has loses duplicates: Puppet merges
/// it with an empty list.
fn merge_entries(mut lower: Vec<Entry>, upper: Vec<Entry>) -> Vec<Entry> {
    let places = places(&lower);
    for mut entry in upper {
        let below = places.get(&entry.key).and_then(|at| lower.get_mut(*at));
        match below {
            Some(below) => {
                let value = merge(take(&mut below.value), entry.value);
                *below = Entry { value, ..entry };
            }
            None => {
                let span = entry.value.span;
                let empty = match &entry.value.data {
                    Data::List(_) => Data::List(Vec::new()),
                    Data::Map(_) => Data::Map(Vec::new()),
                    _ => Data::Null,
                };
                entry.value = merge(Node { span, data: empty }, entry.value);
                lower.push(entry);
            }
        }
    }
    lower
}

fn take(node: &mut Node) -> Node {
    let span = node.span;
    let data = std::mem::replace(&mut node.data, Data::Null);
    Node { span, data }
}

fn union(lower: Vec<Node>, upper: Vec<Node>) -> Vec<Node> {
    let mut union: Vec<Node> = Vec::new();
    for item in lower.into_iter().chain(upper) {
        if !union.iter().any(|before| same(before, &item)) {
            union.push(item);
        }
    }
    union
}

/// Equal values, regardless of their positions.
fn same(one: &Node, other: &Node) -> bool {
    match (&one.data, &other.data) {
        (Data::Text { value: one, .. }, Data::Text { value: other, .. }) => one == other,
        (Data::List(one), Data::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Data::Map(one), Data::Map(map)) => {
            let in_other = |entry: &Entry| {
                other
                    .get(&entry.key)
                    .is_some_and(|value| same(&entry.value, value))
            };
            one.len() == map.len() && one.iter().all(in_other)
        }
        (one, other) => one == other,
    }
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
        let facts = facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let reading = Reading {
            dialect: crate::dialect::Dialect::Hiera,
            keys: &["sysctl", "link"],
            facts: &facts.collect(),
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

    /// The expected result is that of `puppet lookup --merge deep` (7.23) on the same two files.
    #[test]
    fn merges_as_puppet_does() {
        let (tree, messages) = merged(
            &[
                "netkeel::link: {a: [1, 2, 3], b: {x: 1, y: 2}, c: 5, d: text, e: {z: 1}, l: [1, {q: 1}], n: 4, dup: [1, 1, 2], s: abc}",
                "netkeel::link: {a: [3, 4, 1], b: {x: 9, y: ~}, c: ~, d: [1], e: 7, l: [{q: 1}, 2], n: false, new: [2, 2], s: ''}",
            ],
            &[],
        );
        assert_eq!(messages, [""; 0]);
        assert_eq!(
            tree,
            "{version: 1, link: {a: [1, 2, 3, 4], b: {x: 9, y: 2}, c: 5, d: [1], e: 7, l: [1, {q: 1}, 2], n: false, dup: [1, 1, 2], s: \"\", new: [2]}}"
        );
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
        let (_, messages) = merged(
            &[
                "netkeel::sysctl: {}\nlookup_options: {'^netkeel::': {merge: {strategy: deep}}, a: {merge: hash}}",
            ],
            &[],
        );
        assert_eq!(messages, [""; 0]);
        let (_, messages) = merged(
            &["netkeel::sysctl: {}\nlookup_options: {netkeel::sysctl: {merge: first}}"],
            &[],
        );
        assert_eq!(messages, ["netkeel follows deep merges without options only"]);
    }

    /// The class has parameters that no document has; how they merge does not concern netkeel.
    #[test]
    fn only_merges_of_what_is_read_are_judged() {
        let said_of = |key: &str| {
            let options = format!("netkeel::sysctl: {{}}\nlookup_options: {{'{key}': {{merge: unique}}}}");
            merged(&[&options], &[]).1.len()
        };
        for others in [
            "netkeel::verify_reach",
            "^netkeel::verify_reach$",
            "^netkeel::verify",
            "^netkeel::verify_.*",
            "^netkeel::links$",
            "^ntp::",
            "a",
        ] {
            assert_eq!(said_of(others), 0, "{others}");
        }
        for read in [
            "netkeel::link",
            "^netkeel::",
            "^netkeel::(link|sysctl)$",
            "^netkeel::verify_reach|link",
            "^netkeel::link$",
            "^netkeel::l",
            "^netkeel::sysctls?$",
            "^netkeel::.*",
        ] {
            assert_eq!(said_of(read), 1, "{read}");
        }
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
