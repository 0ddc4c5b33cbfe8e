//! `lookup_options`: how Hiera merges the levels of each key.

use crate::hiera::merge::{Deep, Strategy};
use netkeel_core::text::escape::quoted;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};

/// The key of the options.
pub(crate) const OPTIONS: &str = "lookup_options";

/// The prefix that removes values, in the options of the Puppet module.
const KNOCKOUT: &str = "--";

/// The options of all levels. An option of a more specific level replaces that of a more general one.
#[derive(Default)]
pub(crate) struct Options<'a>(Vec<&'a Entry>);

impl<'a> Options<'a> {
    /// The options of files, the most general first.
    pub(crate) fn of(files: &'a [Node]) -> Self {
        let mut options: Vec<&Entry> = Vec::new();
        for file in files.iter().rev() {
            for option in file.get(OPTIONS).map(Node::entries).unwrap_or_default() {
                if !options.iter().any(|above| above.key == option.key) {
                    options.push(option);
                }
            }
        }
        Self(options)
    }

    /// The strategy for a key of the class. The order is Puppet's: the key itself, in the data and then in
    /// the module; then regular expressions.
    pub(crate) fn strategy(&self, prefix: &str, key: &str, diagnostics: &mut Diagnostics) -> Strategy {
        let exact = |option: &&&Entry| option.key.strip_prefix(prefix) == Some(key);
        if let Some(option) = self.0.iter().find(exact) {
            return requested(option, diagnostics);
        }
        if let Some(strategy) = of_the_module(key) {
            return strategy;
        }
        match self.0.iter().find(|option| may_match(&option.key, prefix, key)) {
            Some(option) => requested(option, diagnostics),
            None => Strategy::First,
        }
    }
}

/// The strategy that the module requests: `puppet/data/common.yaml`.
fn of_the_module(key: &str) -> Option<Strategy> {
    match key {
        "sysctl" | "allow" => Some(Strategy::Hash),
        "limits" | "link" | "tunnel" | "route" | "nflog" | "replicate" | "probes" | "cni" | "wireguard" => {
            Some(Strategy::Deep(Deep {
                knockout: Some(KNOCKOUT.to_owned()),
                ..Deep::default()
            }))
        }
        _ => None,
    }
}

/// The strategy of an option. Options without `merge` ask for the first value.
fn requested(option: &Entry, diagnostics: &mut Diagnostics) -> Strategy {
    let root = KeyPath::ROOT.key(OPTIONS);
    let path = root.key(&option.key);
    for other in option.value.entries().iter().filter(|entry| entry.key != "merge") {
        refuse(other, &other.key, &path, diagnostics);
    }
    let Some(merge) = option.value.entries().iter().find(|entry| entry.key == "merge") else {
        return Strategy::First;
    };
    let named = merge.value.get("strategy").unwrap_or(&merge.value);
    let mut deep = Deep::default();
    for entry in merge.value.entries() {
        match (entry.key.as_str(), &entry.value.data) {
            ("strategy", Data::Text { .. }) | ("merge_debug", Data::Bool(_)) => {}
            ("knockout_prefix", Data::Text { value, .. }) if literal(value) => {
                deep.knockout = Some(value.clone());
            }
            ("knockout_prefix", Data::Null) => {}
            ("sort_merged_arrays", Data::Bool(sort)) => deep.sort = *sort,
            ("merge_hash_arrays", Data::Bool(hashes)) => deep.hashes = *hashes,
            _ => refuse(entry, &entry.key, &path, diagnostics),
        }
    }
    match named.text() {
        Some("first" | "default") => Strategy::First,
        Some("hash") => Strategy::Hash,
        Some("deep") => Strategy::Deep(deep),
        other => {
            refuse(merge, other.unwrap_or("merge"), &path, diagnostics);
            Strategy::First
        }
    }
}

/// Whether Puppet, which makes a regular expression of a prefix, reads it as it is written.
fn literal(prefix: &str) -> bool {
    !prefix.is_empty() && !prefix.contains(|letter: char| ".*+?()[]{}|^$\\/#\n".contains(letter))
}

fn refuse(entry: &Entry, what: &str, path: &KeyPath<'_>, diagnostics: &mut Diagnostics) {
    diagnostics
        .add(
            entry.value.span,
            path.key(&entry.key),
            format!("netkeel does not follow {} in {}", quoted(what), quoted(OPTIONS)),
        )
        .hint(
            "use `first`, `hash` or `deep`, with `knockout_prefix`, `sort_merged_arrays` or `merge_hash_arrays`",
        );
}

/// Whether an option may be a regular expression that matches a key. Only the part of the expression before
/// its first metacharacter is checked.
fn may_match(option: &str, prefix: &str, key: &str) -> bool {
    let Some(pattern) = option.strip_prefix('^') else {
        return false;
    };
    let Some(pattern) = pattern.strip_prefix(prefix) else {
        return false;
    };
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = pattern.find(|letter| !word(letter)).unwrap_or(pattern.len());
    let (literal, rest) = pattern.split_at(end);
    match rest {
        "" => key.starts_with(literal),
        "$" => key == literal,
        _ if rest.contains('|') => true,
        // A repetition operator applies to the last letter, which may be absent.
        _ => key.starts_with(literal.get(..literal.len().saturating_sub(1)).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::yaml;

    fn strategy(files: &[&str], key: &str) -> (Strategy, usize) {
        let mut diagnostics = Diagnostics::default();
        let files: Vec<Node> = files.iter().map(|text| yaml(text)).collect();
        let strategy = Options::of(&files).strategy("netkeel::", key, &mut diagnostics);
        (strategy, diagnostics.count())
    }

    /// The options of the Puppet module are those that netkeel assumes.
    #[test]
    fn the_module_says_the_same() {
        let module = include_str!("../../../puppet/data/common.yaml");
        let keys = yaml(module).get(OPTIONS).unwrap().entries().to_vec();
        assert_eq!(keys.len(), 11);
        for key in keys {
            let key = key.key.strip_prefix("netkeel::").unwrap();
            assert_eq!(
                strategy(&[module], key),
                (of_the_module(key).unwrap(), 0),
                "{key}"
            );
            assert_eq!(strategy(&[], key), (of_the_module(key).unwrap(), 0), "{key}");
        }
        assert_eq!(strategy(&[], "owner"), (Strategy::First, 0));
    }

    #[test]
    fn the_data_override_the_module_and_specific_levels_general_ones() {
        let general = "lookup_options: {netkeel::sysctl: {merge: deep}, netkeel::link: {merge: first}}";
        let host = "lookup_options: {netkeel::link: {merge: {strategy: deep, knockout_prefix: '!', sort_merged_arrays: true, merge_hash_arrays: true}}}";
        assert_eq!(
            strategy(&[general, host], "sysctl"),
            (Strategy::Deep(Deep::default()), 0)
        );
        let deep = Deep {
            knockout: Some("!".to_owned()),
            sort: true,
            hashes: true,
        };
        assert_eq!(strategy(&[general, host], "link"), (Strategy::Deep(deep), 0));
        assert_eq!(strategy(&[host, general], "link"), (Strategy::First, 0));
        // Options without a merge replace those of the module.
        let none = "lookup_options: {netkeel::link: {}}";
        assert_eq!(strategy(&[none], "link"), (Strategy::First, 0));
    }

    #[test]
    fn an_expression_does_not_override_the_module() {
        let every = "lookup_options: {'^netkeel::': {merge: unique}}";
        assert_eq!(strategy(&[every], "sysctl"), (Strategy::Hash, 0));
        assert_eq!(strategy(&[every], "owner"), (Strategy::First, 1));
        let first = "lookup_options: {'^netkeel::.*': {merge: first}}";
        assert_eq!(strategy(&[first], "owner"), (Strategy::First, 0));
    }

    #[test]
    fn other_requests_are_refused() {
        for option in [
            "{merge: unique}",
            "{merge: reverse_deep}",
            "{merge: 5}",
            "{merge: {}}",
            "{merge: {strategy: deep, knockout_prefix: '+'}}",
            "{merge: {strategy: deep, unpack_arrays: ','}}",
            "{convert_to: Integer}",
        ] {
            let data = format!("lookup_options: {{netkeel::link: {option}}}");
            assert_eq!(strategy(&[&data], "link").1, 1, "{option}");
        }
    }

    #[test]
    fn only_expressions_that_may_match_count() {
        let said = |expression: &str| {
            let data = format!("lookup_options: {{'{expression}': {{merge: unique}}}}");
            strategy(&[&data], "persist").1
        };
        for others in [
            "netkeel::owner",
            "^netkeel::owner",
            "^netkeel::persists$",
            "^ntp::",
            "persist",
        ] {
            assert_eq!(said(others), 0, "{others}");
        }
        for read in [
            "netkeel::persist",
            "^netkeel::",
            "^netkeel::(owner|persist)$",
            "^netkeel::owner|persist",
            "^netkeel::persist$",
            "^netkeel::p",
            "^netkeel::persists?$",
            "^netkeel::.*",
        ] {
            assert_eq!(said(read), 1, "{read}");
        }
    }
}
