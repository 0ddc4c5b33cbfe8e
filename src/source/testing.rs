//! Shared test helpers: parsing in one call, and trees on one line.

use proptest::prelude::*;

use crate::diagnostic::Diagnostics;
use crate::node::{Data, Node};
use crate::parse::parse;
use crate::report::render::render;
use crate::sources::Sources;
use crate::text::format::Format;

/// Parses a text; also returns the rendered diagnostics.
pub(crate) fn read(format: Format, text: &str) -> (Option<Node>, String) {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let file = sources.add("input", text);
    let node = parse(file, text, format, &mut diagnostics);
    let report = if diagnostics.is_empty() {
        String::new()
    } else {
        render(&diagnostics, &sources, false)
    };
    (node, report)
}

/// Parses valid YAML.
pub fn yaml(text: &str) -> Node {
    let (node, report) = read(Format::Yaml, text);
    assert_eq!(report, "");
    node.unwrap()
}

/// The tree on one line: plain text unchanged, quoted text in quotes.
pub fn outline(node: &Node) -> String {
    match &node.data {
        Data::Null => "null".to_owned(),
        Data::Bool(value) => value.to_string(),
        Data::Integer(value) => value.to_string(),
        Data::Text { value, plain: true } => format!("<{value}>"),
        Data::Text { value, plain: false } => format!("{value:?}"),
        Data::List(items) => {
            let items: Vec<String> = items.iter().map(outline).collect();
            format!("[{}]", items.join(", "))
        }
        Data::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|entry| format!("{}: {}", entry.key, outline(&entry.value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// Appends each key and value with the text of its span, one per line.
#[cfg(test)]
pub(crate) fn spans(node: &Node, text: &str, out: &mut String) {
    let cut = |span: crate::span::Span| text.get(span.start as usize..span.end as usize).unwrap_or("?");
    out.push_str(&format!("{} = {:?}\n", outline(node), cut(node.span)));
    node.entries().iter().for_each(|entry| {
        out.push_str(&format!("{}: {:?}\n", entry.key, cut(entry.key_span)));
        spans(&entry.value, text, out);
    });
    if let Data::List(items) = &node.data {
        items.iter().for_each(|item| spans(item, text, out));
    }
}

/// The tree without its spans.
pub fn bare(mut node: Node) -> Node {
    strip(&mut node);
    node
}

fn strip(node: &mut Node) {
    node.span = crate::span::Span::default();
    match &mut node.data {
        Data::List(items) => items.iter_mut().for_each(strip),
        Data::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.key_span = crate::span::Span::default();
            strip(&mut entry.value);
        }),
        _ => {}
    }
}

/// Any tree that JSON can represent, as JSON, with unique keys and printable text.
pub fn json_map() -> impl Strategy<Value = serde_json::Value> {
    let key = || {
        prop_oneof![
            "[a-z_]{1,4}",
            "[ -~äß€😀]{0,6}",
            "net\\.[a-z]{1,3}",
            "on|off|null|1|<<|~"
        ]
    };
    let scalar = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (-10..10_i64).prop_map(serde_json::Value::from),
        "[ -~äß€😀\\n]{0,12}".prop_map(serde_json::Value::from),
        "017|0x1F|1e3|on|~|1:30|null|- a|# b|\\*x|&y|!z|\\[".prop_map(serde_json::Value::from),
    ];
    let tree = scalar.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map(key(), inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(key(), tree, 0..6)
        .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
}

/// The expected tree for a JSON value.
pub fn expected(value: &serde_json::Value) -> Node {
    use serde_json::Value;
    let span = crate::span::Span::default();
    let data = match value {
        Value::Null => Data::Null,
        Value::Bool(value) => Data::Bool(*value),
        Value::Number(value) => Data::Integer(value.as_i64().unwrap()),
        Value::String(value) => Data::Text {
            value: value.clone(),
            plain: false,
        },
        Value::Array(items) => Data::List(items.iter().map(expected).collect()),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| crate::node::Entry {
                key: key.clone(),
                key_span: span,
                value: expected(value),
            };
            Data::Map(map.iter().map(entry).collect())
        }
    };
    Node { span, data }
}
