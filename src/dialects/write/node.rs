//! Constructors of nodes without a source position, for output.

use netkeel_core::text::number;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::parse::parse;
use netkeel_source::span::{FileId, Span};
use netkeel_source::text::format::Format;

pub(crate) fn of_kind(kind: &str, name: Option<&str>, more: Vec<(&str, Node)>) -> Node {
    let head = [("apiVersion", string("v1alpha1")), ("kind", string(kind))].into_iter();
    let name = name.map(|name| ("name", string(name)));
    map(head.chain(name).chain(more).collect())
}

/// A map with these keys.
pub(crate) fn map(entries: Vec<(&str, Node)>) -> Node {
    let entry = |(key, value): (&str, Node)| Entry {
        key: key.to_owned(),
        key_span: Span::default(),
        value,
    };
    of(Data::Map(entries.into_iter().map(entry).collect()))
}

/// A list.
pub(crate) fn list(items: Vec<Node>) -> Node {
    of(Data::List(items))
}

/// A text.
pub(crate) fn string(text: &str) -> Node {
    of(Data::Text {
        value: text.to_owned(),
        plain: false,
    })
}

/// Sets a value at a path of keys and creates missing maps.
pub(crate) fn set(node: &mut Node, path: &[&str], value: Node) {
    let [key, rest @ ..] = path else {
        *node = value;
        return;
    };
    let mut entries = match std::mem::replace(&mut node.data, Data::Null) {
        Data::Map(entries) => entries,
        _ => Vec::new(),
    };
    match entries.iter_mut().find(|entry| entry.key == *key) {
        Some(entry) => set(&mut entry.value, rest, value),
        None => {
            let mut new = of(Data::Null);
            set(&mut new, rest, value);
            entries.push(Entry {
                key: (*key).to_owned(),
                key_span: Span::default(),
                value: new,
            });
        }
    }
    node.data = Data::Map(entries);
}

/// Removes the value at a path of keys, and parent maps that become empty.
pub(crate) fn take(node: &mut Node, path: &[&str]) {
    let ([key, rest @ ..], Data::Map(entries)) = (path, &mut node.data) else {
        return;
    };
    let Some(at) = entries.iter().position(|entry| entry.key == *key) else {
        return;
    };
    let gone = entries.get_mut(at).is_some_and(|entry| {
        take(&mut entry.value, rest);
        rest.is_empty() || entry.value.data == Data::Map(Vec::new())
    });
    if gone {
        entries.remove(at);
    }
}

/// A value.
pub(crate) fn of(data: Data) -> Node {
    Node {
        span: Span::default(),
        data,
    }
}

/// The tree of a document's canonical spelling. That spelling has only text scalars; numbers and
/// booleans are converted back.
pub(crate) fn of_canonical(canonical: &str) -> Node {
    let node = parse(
        FileId::default(),
        canonical,
        Format::Json,
        &mut Diagnostics::default(),
    );
    let mut node = node.unwrap_or_else(|| of(Data::Map(Vec::new())));
    if let Data::Map(sections) = &mut node.data {
        // A reason stays text in any case.
        let typed = sections.iter_mut().filter(|section| section.key != "allow");
        typed.for_each(|section| scalars(&mut section.value));
    }
    node
}

fn scalars(node: &mut Node) {
    match &mut node.data {
        Data::Text { value, plain } => {
            let data = match value.as_str() {
                "true" => Some(Data::Bool(true)),
                "false" => Some(Data::Bool(false)),
                text => number::decimal(text).map(Data::Integer),
            };
            *plain = true;
            if let Some(data) = data {
                node.data = data;
            }
        }
        Data::List(items) => items.iter_mut().for_each(scalars),
        Data::Map(entries) => entries.iter_mut().for_each(|entry| scalars(&mut entry.value)),
        Data::Null | Data::Bool(_) | Data::Integer(_) => {}
    }
}
