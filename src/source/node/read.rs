//! Typed values of checked nodes. Each reader accepts every spelling that the check accepts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::diagnostic::Diagnostics;
use crate::node::path::KeyPath;
use crate::node::{Data, Entry, Node};
use netkeel_core::text::escape::quoted;
use netkeel_core::text::number;

/// The words that YAML 1.1 parsers read as true.
const YES: [&str; 3] = ["true", "yes", "on"];

const NO: [&str; 3] = ["false", "no", "off"];

/// The boolean that a word means, in any case.
pub fn boolean_word(word: &str) -> Option<bool> {
    let is = |list: [&str; 3]| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is(YES) {
        Some(true)
    } else if is(NO) {
        Some(false)
    } else {
        None
    }
}

impl Node {
    /// Whether it is `null`, `~` or nothing: a withdrawal.
    pub fn is_null(&self) -> bool {
        self.data == Data::Null
    }

    /// The value of a key of this map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries().iter().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// The keys and values of this map; empty for any other value.
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of this list. A single value counts as a list of one; a map or `null` as empty.
    pub fn items(&self) -> &[Node] {
        match &self.data {
            Data::List(items) => items,
            Data::Null | Data::Map(_) => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// A decimal integer; also from text.
    pub fn integer(&self) -> Option<i64> {
        match &self.data {
            Data::Integer(value) => Some(*value),
            Data::Text { value, .. } => number::decimal(value),
            _ => None,
        }
    }

    /// A boolean.
    pub fn switch(&self) -> Option<bool> {
        match &self.data {
            Data::Bool(value) => Some(*value),
            Data::Text { value, .. } => boolean_word(value),
            _ => None,
        }
    }

    /// The number of one of these words. The number itself, and booleans as 0 and 1, are accepted too.
    pub fn choice(&self, words: &[(&str, i64)]) -> Option<i64> {
        let number = match &self.data {
            Data::Integer(value) => *value,
            Data::Bool(value) => i64::from(*value),
            Data::Text { value, .. } => {
                if let Some((_, number)) = words.iter().find(|(word, _)| word == value) {
                    return Some(*number);
                }
                number::decimal(value).or_else(|| boolean_word(value).map(i64::from))?
            }
            _ => return None,
        };
        words.iter().any(|(_, known)| *known == number).then_some(number)
    }

    /// Text, quoted or not.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Any scalar as its text.
    pub fn scalar(&self) -> Option<Cow<'_, str>> {
        match &self.data {
            Data::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Data::Integer(value) => Some(Cow::Owned(value.to_string())),
            Data::Text { value, .. } => Some(Cow::Borrowed(value)),
            Data::Null | Data::List(_) | Data::Map(_) => None,
        }
    }

    /// The values of a scalar or a list as /proc/sys shows them, separated by one blank.
    pub fn vector(&self) -> Option<String> {
        let mut out = String::new();
        let mut push = |value: &str| {
            for word in value.split_ascii_whitespace() {
                if !out.is_empty() {
                    out.push(' ');
                }
                out.push_str(word);
            }
        };
        if self.is_null() || matches!(self.data, Data::Map(_)) {
            return None;
        }
        for item in self.items() {
            match &item.data {
                Data::Bool(value) => push(if *value { "1" } else { "0" }),
                Data::Integer(value) => push(&value.to_string()),
                Data::Text { value, .. } => push(value),
                Data::Null | Data::List(_) | Data::Map(_) => return None,
            }
        }
        Some(out)
    }

    /// The kind of value, for messages about files of other programs: the value itself may be a password.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "a boolean",
            Data::Integer(_) => "a number",
            Data::Text { .. } => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    /// A description for messages.
    pub fn describe(&self) -> String {
        match &self.data {
            Data::Null => "nothing".to_owned(),
            Data::Bool(value) => format!("the boolean `{value}`"),
            Data::Integer(value) => format!("the number {value}"),
            Data::Text { value, .. } if value.is_empty() => "an empty text".to_owned(),
            Data::Text { value, .. } => match number::form(value) {
                Some(number::Form::Other { what, .. }) => format!("{} ({what})", quoted(value)),
                _ => format!("the text {}", quoted(value)),
            },
            Data::List(items) if items.is_empty() => "an empty list".to_owned(),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a map".to_owned(),
        }
    }
}

/// Reports duplicate keys and removes all but the first of each.
pub(crate) fn without_duplicates(
    mut entries: Vec<Entry>,
    path: &KeyPath<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Entry> {
    if entries.len() < 2 {
        return entries;
    }
    let mut first = BTreeMap::new();
    let mut again = Vec::new();
    for entry in &entries {
        let before = first.get(entry.key.as_str()).copied();
        if let Some(before) = before {
            diagnostics
                .add(entry.key_span, path.key(&entry.key), duplicate(&entry.key))
                .other(before, "first given here");
        } else {
            first.insert(entry.key.as_str(), entry.key_span);
        }
        again.push(before.is_some());
    }
    drop(first);
    if again.contains(&true) {
        let mut again = again.into_iter();
        entries.retain(|_| !again.next().unwrap_or(false));
    }
    entries
}

/// The message for a duplicate key.
fn duplicate(key: &str) -> String {
    format!("the key {} is given twice", quoted(key))
}
