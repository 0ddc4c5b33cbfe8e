//! For an error about a key: the path of the key, and the earlier key with the same name.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::node::path::KeyPath;

/// A placeholder for the key in question; no document has this key.
const RENAMED: &str = "netkeel-renamed-key";

/// The path of the key at a place, and the place of another key with the same name in the same table.
/// `None` when no key is there, or no other key has its name.
///
/// The library reports neither, so this function renames the key and parses again. The tree then holds
/// both keys.
pub(crate) fn find(text: &str, place: &Range<usize>) -> Option<(String, Range<usize>)> {
    let (before, key) = (text.get(..place.start)?, text.get(place.clone())?);
    let assignment = format!("{key} = 0");
    let alone = DeTable::parse(&assignment).ok()?;
    let (key, value) = alone.get_ref().iter().next()?;
    // Only a single key can be renamed; anything else assigns to a table.
    value.get_ref().as_integer()?;
    let renamed = [before, RENAMED, text.get(place.end..)?].concat();
    let (table, _) = DeTable::parse_recoverable(&renamed);
    in_table(table.get_ref(), &KeyPath::ROOT, place.start, key.get_ref())
}

/// Searches a table and its subtables. The other key precedes the renamed one, so its place is the same
/// in the original text.
fn in_table(
    table: &DeTable<'_>,
    path: &KeyPath<'_>,
    start: usize,
    key: &str,
) -> Option<(String, Range<usize>)> {
    let renamed = table.get_key_value(RENAMED);
    if renamed.is_some_and(|(renamed, _)| renamed.span().start == start) {
        let (other, _) = table.get_key_value(key)?;
        let before = other.span().end <= start;
        return before.then(|| (path.key(key).to_string(), other.span()));
    }
    table
        .iter()
        .find_map(|(name, value)| in_value(value.get_ref(), &path.key(name.get_ref()), start, key))
}

fn in_value(
    value: &DeValue<'_>,
    path: &KeyPath<'_>,
    start: usize,
    key: &str,
) -> Option<(String, Range<usize>)> {
    match value {
        DeValue::Table(table) => in_table(table, path, start, key),
        DeValue::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| in_value(item.get_ref(), &path.index(index), start, key))
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}
