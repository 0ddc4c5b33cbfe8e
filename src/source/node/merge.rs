//! Layers of documents: files merge by key before anything in them is resolved.

use std::collections::BTreeMap;

use crate::node::{Data, Entry, Node};

/// Lays one tree over another: maps merge by key, recursively; other values are replaced. A `null`
/// stays until [`withdraw`], so that a higher layer can still set the key again.
pub fn merge(base: Node, over: Node) -> Node {
    let (base, entries) = match (base.data, over.data) {
        (Data::Map(base), Data::Map(over)) => (base, over),
        (_, data) => {
            return Node {
                span: over.span,
                data,
            };
        }
    };
    Node {
        span: over.span,
        data: Data::Map(merge_entries(base, entries)),
    }
}

/// The index of each key: searching for every key of one large map in another would be slow.
pub fn places(entries: &[Entry]) -> BTreeMap<String, usize> {
    let places = entries.iter().enumerate();
    places.map(|(at, entry)| (entry.key.clone(), at)).collect()
}

/// The keys of the base in their order, then new keys in theirs.
fn merge_entries(base: Vec<Entry>, over: Vec<Entry>) -> Vec<Entry> {
    let index = places(&over);
    let mut over: Vec<Option<Entry>> = over.into_iter().map(Some).collect();
    let mut merged = Vec::with_capacity(base.len().max(over.len()));
    for entry in base {
        let above = index
            .get(&entry.key)
            .and_then(|at| over.get_mut(*at))
            .and_then(Option::take);
        merged.push(match above {
            Some(above) => Entry {
                value: merge(entry.value, above.value),
                ..above
            },
            None => entry,
        });
    }
    merged.extend(over.into_iter().flatten());
    merged
}

/// Removes every key whose value is `null`; the result is the document.
#[must_use]
pub fn withdraw(mut node: Node) -> Node {
    withdraw_in(&mut node);
    node
}

fn withdraw_in(node: &mut Node) {
    match &mut node.data {
        Data::Map(entries) => {
            entries.retain(|entry| entry.value.data != Data::Null);
            entries.iter_mut().for_each(|entry| withdraw_in(&mut entry.value));
        }
        Data::List(items) => items.iter_mut().for_each(withdraw_in),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{outline, yaml};

    fn layers(base: &str, over: &str) -> String {
        outline(&withdraw(merge(yaml(base), yaml(over))))
    }

    #[test]
    fn maps_merge_and_the_rest_replaces() {
        assert_eq!(
            layers("a: {b: 1, c: 2}\nd: 1", "a: {c: 3, e: 4}"),
            "{a: {b: 1, c: 3, e: 4}, d: 1}"
        );
        assert_eq!(layers("a: [1, 2]", "a: [3]"), "{a: [3]}");
        assert_eq!(layers("a: {b: 1}", "a: 5"), "{a: 5}");
        assert_eq!(layers("a: 5", "a: {b: 1}"), "{a: {b: 1}}");
        assert_eq!(layers("a: 1", ""), "{a: 1}");
        assert_eq!(layers("", "a: 1"), "{a: 1}");
    }

    #[test]
    fn null_withdraws_and_a_later_layer_can_set_anew() {
        assert_eq!(layers("a: {b: 1, c: 2}", "a: {b: ~}"), "{a: {c: 2}}");
        assert_eq!(layers("a: {b: 1}", "a: null\nx: {y: ~}"), "{x: {}}");
        let two = merge(yaml("a: {b: 1}"), yaml("a: ~"));
        assert_eq!(outline(&withdraw(merge(two, yaml("a: {c: 2}")))), "{a: {c: 2}}");
    }

    #[test]
    fn what_replaced_is_what_messages_point_to() {
        let merged = merge(yaml("a: {b: 1}"), yaml("\n\na: {b: 2}"));
        let a = merged.entries().first().unwrap();
        assert_eq!((a.key_span.start, a.value.span.start), (2, 5));
    }
}
