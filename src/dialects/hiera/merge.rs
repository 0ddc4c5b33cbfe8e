//! The merge strategies of `lookup_options`, as Puppet and its deep_merge library perform them.

use netkeel_core::text::escape::quoted;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::merge::places;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};

/// How the values of a key at several levels become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// The value of the most specific level.
    First,
    /// One map; the value of a key is that of the most specific level.
    Hash,
    /// Maps and lists at any depth.
    Deep(Deep),
}

/// The options of a deep merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deep {
    /// A text with this prefix removes an item of a list, or a value, of the level below.
    pub knockout: Option<String>,
    /// Whether merged lists are sorted.
    pub sort: bool,
    /// Whether lists of maps are merged item by item.
    pub hashes: bool,
}

impl Strategy {
    /// The value of a key, from a more specific and a more general level.
    pub(crate) fn merge(
        &self,
        upper: Node,
        lower: Node,
        path: &KeyPath<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Node {
        match self {
            Self::First => upper,
            Self::Hash => hash(upper, lower, path, diagnostics),
            Self::Deep(deep) => deep.merge(upper, lower),
        }
    }
}

fn hash(upper: Node, lower: Node, path: &KeyPath<'_>, diagnostics: &mut Diagnostics) -> Node {
    for node in [&upper, &lower] {
        if !matches!(node.data, Data::Map(_)) {
            diagnostics
                .add(
                    node.span,
                    path,
                    format!(
                        "a merge of {} needs a map, found {}",
                        quoted("hash"),
                        node.describe()
                    ),
                )
                .hint("write a map, or leave the key out at this level");
        }
    }
    let (Data::Map(above), Data::Map(mut merged)) = (upper.data, lower.data) else {
        return lower_null(upper.span);
    };
    let places = places(&merged);
    for entry in above {
        match places.get(&entry.key).and_then(|at| merged.get_mut(*at)) {
            Some(below) => *below = entry,
            None => merged.push(entry),
        }
    }
    Node {
        span: upper.span,
        data: Data::Map(merged),
    }
}

fn lower_null(span: netkeel_source::span::Span) -> Node {
    Node {
        span,
        data: Data::Null,
    }
}

impl Deep {
    /// `DeepMerge.deep_merge!(upper, lower)`: neither `~` above nor below is a value, and `false` below is
    /// none either.
    fn merge(&self, upper: Node, lower: Node) -> Node {
        let span = upper.span;
        let data = match (upper.data, lower.data) {
            (Data::Null, data) => {
                return Node {
                    span: lower.span,
                    data,
                };
            }
            (data, Data::Null | Data::Bool(false)) => data,
            (Data::Map(above), Data::Map(below)) => Data::Map(self.maps(above, below)),
            // A loop over no keys replaces nothing.
            (Data::Map(above), data) if above.is_empty() => {
                return Node {
                    span: lower.span,
                    data,
                };
            }
            // The loop replaces at its first key, and merges every later key with itself.
            (Data::Map(mut above), _) => {
                for entry in above.iter_mut().skip(1) {
                    entry.value = self.itself(take(&mut entry.value), true);
                }
                Data::Map(above)
            }
            (Data::List(above), Data::List(below)) => Data::List(self.lists(above, below)),
            (Data::List(mut above), _) => {
                above.retain(|item| self.knocked(item).is_none());
                Data::List(above)
            }
            (data, _) => self.scalar(data),
        };
        Node { span, data }
    }

    fn maps(&self, above: Vec<Entry>, mut below: Vec<Entry>) -> Vec<Entry> {
        let places = places(&below);
        for mut entry in above {
            let lower = places.get(&entry.key).and_then(|at| below.get_mut(*at));
            match lower {
                Some(lower) if !matches!(lower.value.data, Data::Null | Data::Bool(false)) => {
                    entry.value = self.merge(entry.value, take(&mut lower.value));
                    *lower = entry;
                }
                Some(lower) => {
                    entry.value = self.itself(entry.value, false);
                    *lower = entry;
                }
                None => {
                    entry.value = self.itself(entry.value, false);
                    below.push(entry);
                }
            }
        }
        below
    }

    fn lists(&self, mut above: Vec<Node>, mut below: Vec<Node>) -> Vec<Node> {
        let naked = |item: &Node| self.knocked(item) == Some("");
        if above.iter().any(naked) {
            below.clear();
            above.retain(|item| !naked(item));
        }
        above.retain(|item| {
            let Some(name) = self.knocked(item) else {
                return true;
            };
            below.retain(|lower| lower.text() != Some(name) && lower.text() != item.text());
            false
        });
        let maps = |list: &[Node]| list.iter().all(|item| matches!(item.data, Data::Map(_)));
        if self.hashes && maps(&above) && maps(&below) {
            let mut above = above.into_iter();
            let mut merged: Vec<Node> = Vec::new();
            for lower in below {
                merged.push(match above.next() {
                    Some(upper) => self.merge(upper, lower),
                    None => lower,
                });
            }
            merged.extend(above);
            return merged;
        }
        self.sorted(union(below, above))
    }

    /// A value merged with itself, as the library does where the lower level lacks the key. `shared` when both
    /// are one object, which the library then changes while it reads it.
    fn itself(&self, mut node: Node, shared: bool) -> Node {
        node.data = match node.data {
            Data::Map(mut entries) => {
                for entry in &mut entries {
                    entry.value = self.itself(take(&mut entry.value), true);
                }
                Data::Map(entries)
            }
            Data::List(items) if !shared => Data::List(self.lists(items.clone(), items)),
            Data::List(items) => Data::List(self.shared_list(items)),
            data => self.scalar(data),
        };
        node
    }

    /// Ruby's `delete_if` of a block that deletes from the same list: the item after a knocked out one is
    /// skipped, and lost.
    fn shared_list(&self, mut items: Vec<Node>) -> Vec<Node> {
        if items.iter().any(|item| self.knocked(item) == Some("")) {
            return Vec::new();
        }
        let (mut read, mut written) = (0, 0);
        while let Some(item) = items.get(read).cloned() {
            read += 1;
            match self.knocked(&item) {
                Some(name) => {
                    items.retain(|other| other.text() != Some(name) && other.text() != item.text());
                }
                None => {
                    if let Some(place) = items.get_mut(written) {
                        *place = item;
                    }
                    written += 1;
                }
            }
        }
        items.truncate(written);
        if self.hashes && items.iter().all(|item| matches!(item.data, Data::Map(_))) {
            return items.into_iter().map(|item| self.itself(item, true)).collect();
        }
        self.sorted(union(Vec::new(), items))
    }

    fn scalar(&self, data: Data) -> Data {
        match &data {
            Data::Text { value, .. } if self.without_prefix(value).is_some() => Data::Text {
                value: String::new(),
                plain: false,
            },
            _ => data,
        }
    }

    /// The name after the prefix, in an item that knocks out.
    fn knocked<'a>(&self, item: &'a Node) -> Option<&'a str> {
        self.without_prefix(item.text()?)
    }

    fn without_prefix<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.strip_prefix(self.knockout.as_deref()?)
    }

    /// Ruby sorts texts by their bytes. A list of other values stays as it is.
    fn sorted(&self, mut items: Vec<Node>) -> Vec<Node> {
        if self.sort && items.iter().all(|item| item.text().is_some()) {
            items.sort_by(|one, other| one.text().cmp(&other.text()));
        } else if self.sort && items.iter().all(|item| item.integer().is_some()) {
            items.sort_by_key(Node::integer);
        }
        items
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::{outline, yaml};

    fn merged(strategy: &Strategy, lower: &str, upper: &str) -> (String, usize) {
        let mut diagnostics = Diagnostics::default();
        let merged = strategy.merge(yaml(upper), yaml(lower), &KeyPath::ROOT, &mut diagnostics);
        (outline(&merged), diagnostics.count())
    }

    fn deep(knockout: Option<&str>) -> Deep {
        Deep {
            knockout: knockout.map(ToOwned::to_owned),
            ..Deep::default()
        }
    }

    const LOWER: &str = "{a: [1, 2, 3], b: {x: 1, y: 2}, c: 5, d: text, e: {z: 1}, l: [1, {q: 1}], n: 4, dup: [1, 1, 2], s: abc}";
    const UPPER: &str = "{a: [3, 4, 1], b: {x: 9, y: null}, c: null, d: [1], e: 7, l: [{q: 1}, 2], n: false, new: [2, 2], s: ''}";

    /// The expected results of these tests are those of `puppet lookup` (7.23) on the same levels.
    #[test]
    fn merges_as_puppet_does() {
        let first = merged(&Strategy::First, LOWER, UPPER).0;
        assert_eq!(first, outline(&yaml(UPPER)));
        let hash = merged(&Strategy::Hash, LOWER, UPPER).0;
        assert_eq!(
            hash,
            "{a: [3, 4, 1], b: {x: 9, y: null}, c: null, d: [1], e: 7, l: [{q: 1}, 2], n: false, dup: [1, 1, 2], s: \"\", new: [2, 2]}"
        );
        for knockout in [None, Some("--")] {
            let deep = merged(&Strategy::Deep(deep(knockout)), LOWER, UPPER).0;
            assert_eq!(
                deep,
                "{a: [1, 2, 3, 4], b: {x: 9, y: 2}, c: 5, d: [1], e: 7, l: [1, {q: 1}, 2], n: false, dup: [1, 1, 2], s: \"\", new: [2]}"
            );
        }
    }

    #[test]
    fn a_prefix_knocks_out_as_in_puppet() {
        let deep = Strategy::Deep(deep(Some("--")));
        for (lower, upper, result) in [
            ("{i: [a, b]}", "{i: [--a, c]}", "{i: [b, c]}"),
            ("{i: [a, b]}", "{i: ['--', c]}", "{i: [c]}"),
            ("{i: [1, b]}", "{i: [--1, c]}", "{i: [1, b, c]}"),
            ("{i: [a, --a]}", "{i: [--a]}", "{i: []}"),
            ("{i: [a], j: 1}", "{i: '--', j: --1}", "{i: \"\", j: \"\"}"),
            ("{i: {a: 1}}", "{i: {a: '--'}}", "{i: {a: \"\"}}"),
            ("{}", "{i: '--', j: [--a, b]}", "{i: \"\", j: [b]}"),
            ("{i: x}", "{i: [--a, b]}", "{i: [b]}"),
            ("{i: ~}", "{i: [--a, b]}", "{i: [b]}"),
            // The library loses `b` here.
            ("{}", "{i: {j: [--a, b, c]}}", "{i: {j: [c]}}"),
            ("{}", "{i: {j: ['--', b]}}", "{i: {j: []}}"),
            ("{i: x}", "{i: {j: --a, k: --a}}", "{i: {j: --a, k: \"\"}}"),
        ] {
            assert_eq!(
                merged(&deep, lower, upper).0,
                outline(&yaml(result)),
                "{lower} {upper}"
            );
        }
    }

    #[test]
    fn lists_are_sorted_or_merged_item_by_item() {
        let sort = Strategy::Deep(Deep {
            sort: true,
            ..Deep::default()
        });
        assert_eq!(
            merged(&sort, "{a: [c, a], n: [9]}", "{a: [b], n: [10, 1]}").0,
            "{a: [<a>, <b>, <c>], n: [1, 9, 10]}"
        );
        let hashes = Strategy::Deep(Deep {
            hashes: true,
            ..Deep::default()
        });
        assert_eq!(
            merged(&hashes, "{l: [{a: 1}, {b: 2}]}", "{l: [{c: 3}]}").0,
            "{l: [{a: 1, c: 3}, {b: 2}]}"
        );
    }

    #[test]
    fn a_merge_of_maps_needs_maps() {
        assert_eq!(merged(&Strategy::Hash, "{a: 1}", "5").1, 1);
        assert_eq!(merged(&Strategy::Hash, "text", "[1]").1, 2);
        assert_eq!(merged(&Strategy::Hash, "{a: 1}", "{}").1, 0);
    }
}
