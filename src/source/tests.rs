//! Properties that all formats share.

use proptest::prelude::*;

use serde_json::Value;

use crate::node::merge::{merge, withdraw};
use crate::node::{Data, Node};
use crate::span::Span;
use crate::testing::{bare, expected, json_map, outline, read};
use crate::text::format::Format;
use crate::text::limits::MAX_BYTES;

const FORMATS: [Format; 3] = [Format::Yaml, Format::Json, Format::Toml];

/// Block style YAML, text in double quotes.
fn to_yaml(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("\n{pad}{}:", Value::from(key.as_str())));
                to_yaml(value, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("\n{pad}-"));
                to_yaml(item, indent + 2, out);
            }
        }
        scalar => out.push_str(&format!(" {scalar}")),
    }
}

/// Inline TOML: JSON's strings are TOML's basic strings.
fn to_toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let items: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{} = {}", Value::from(key.as_str()), to_toml(value)))
                .collect();
            format!("{{ {} }}", items.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(to_toml).collect::<Vec<_>>().join(", ")),
        scalar => scalar.to_string(),
    }
}

fn toml_document(value: &Value) -> String {
    let lines = value.as_object().into_iter().flatten();
    lines
        .map(|(key, value)| format!("{} = {}\n", Value::from(key.as_str()), to_toml(value)))
        .collect()
}

/// Spans are within the text, and children within their parents.
fn well_placed(node: &Node, within: Span, text: &str) -> Result<(), TestCaseError> {
    let inside = |span: Span| {
        span.start <= span.end
            && text.is_char_boundary(span.start as usize)
            && text.is_char_boundary(span.end as usize)
            && (span.end as usize) <= text.len()
    };
    prop_assert!(inside(node.span), "{:?} in {text:?}", node.span);
    let holds = |span: Span| within.start <= span.start && span.end <= within.end;
    prop_assert!(holds(node.span), "{:?} not in {within:?} of {text:?}", node.span);
    for entry in node.entries() {
        prop_assert!(inside(entry.key_span) && holds(entry.key_span));
        well_placed(&entry.value, node.span, text)?;
    }
    if let Data::List(items) = &node.data {
        items
            .iter()
            .try_for_each(|item| well_placed(item, node.span, text))?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_gets_a_tree_or_a_reason(text in "\\PC{0,80}|[ -~\n\t]{0,120}|([a-c]: ?|- |[\\[\\]{},\"'&*!|>#\n =.]){0,40}") {
        for format in FORMATS {
            let (node, report) = read(format, &text);
            prop_assert!(node.is_some() || !report.is_empty());
        }
    }

    #[test]
    fn formats_agree(value in json_map()) {
        let tree = expected(&value);
        let mut yaml = String::new();
        to_yaml(&value, 0, &mut yaml);
        for (format, text) in [
            (Format::Json, value.to_string()),
            (Format::Json, serde_json::to_string_pretty(&value).unwrap()),
            (Format::Yaml, value.to_string()),
            (Format::Yaml, yaml),
            (Format::Toml, toml_document(&value)),
        ] {
            let (node, report) = read(format, &text);
            prop_assert_eq!(&report, "", "{}", text);
            let node = node.unwrap();
            let whole = Span::new(crate::span::FileId(0), 0, text.len());
            well_placed(&node, whole, &text)?;
            prop_assert_eq!(outline(&bare(node)), outline(&tree), "{}", text);
        }
    }

    #[test]
    fn merging_has_laws(a in json_map(), b in json_map(), c in json_map()) {
        let [a, b, c] = [a, b, c].map(|value| expected(&value));
        let empty = expected(&Value::Object(Default::default()));
        prop_assert_eq!(merge(a.clone(), empty.clone()), a.clone());
        prop_assert_eq!(merge(empty, a.clone()), a.clone());
        prop_assert_eq!(merge(a.clone(), a.clone()), a.clone());
        let merged = merge(merge(a.clone(), b), c.clone());
        // The last layer's values remain, and a key is withdrawn only by a `null`.
        prop_assert_eq!(merge(merged.clone(), c.clone()), merged.clone());
        prop_assert_eq!(withdraw(merged.clone()), merged.clone());
        let over = merge(a.clone(), c.clone());
        for entry in a.entries() {
            let stands = over.get(&entry.key);
            prop_assert!(stands.is_some());
            if c.get(&entry.key).is_none() {
                prop_assert_eq!(stands, Some(&entry.value));
            }
        }
        for entry in c.entries().iter().filter(|entry| !matches!(entry.value.data, Data::Map(_))) {
            prop_assert_eq!(merged.get(&entry.key), Some(&entry.value));
        }
    }
}

#[test]
fn nothing_is_an_empty_map() {
    for format in FORMATS {
        for text in ["", "\u{feff}", " \n\r\n"] {
            let (node, report) = read(format, text);
            assert_eq!((outline(&node.unwrap()).as_str(), report.as_str()), ("{}", ""));
        }
    }
    for (format, text) in [
        (Format::Yaml, "# x\n"),
        (Format::Yaml, "---\n"),
        (Format::Toml, "# x\n"),
    ] {
        assert_eq!(outline(&read(format, text).0.unwrap()), "{}");
    }
}

#[test]
fn marks_and_line_ends_do_not_move_places() {
    for (format, text) in [
        (Format::Yaml, "\u{feff}# ü\r\na: 1\r\nb:\r\n  - x\r\na: 2\r\n"),
        (
            Format::Toml,
            "\u{feff}# ü\r\na = 1\r\nb = [\"x\"]\r\n\r\na = 2\r\n",
        ),
        (Format::Json, "\u{feff}\r\n{\"a\": 1,\r\n\r\n\r\n\"a\": 2}\r\n"),
    ] {
        let (_, report) = read(format, text);
        let place = report.lines().nth(1).unwrap();
        assert!(place.ends_with("input:5:1"), "{report}");
    }
}

#[test]
fn limits_are_told() {
    let large = " ".repeat(MAX_BYTES + 1);
    for format in FORMATS {
        assert!(read(format, &large).1.contains("the file has more than 16 MiB"));
        assert!(read(format, "a\0").1.contains("a NUL byte in the text"));
    }
    let deep = |open: &str, close: &str, levels| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    for (format, before, open, close) in [
        (Format::Yaml, "", "[", "]"),
        (Format::Yaml, "a: &a [1]\nb: ", "[*a, ", "]"),
        (Format::Json, "", "[", "]"),
        (Format::Toml, "a = ", "[", "]"),
        (Format::Toml, "a = ", "{ a.a = ", "}"),
        (Format::Toml, "", "a.", ""),
        (Format::Toml, "[[a]]\n", "a . ", ""),
    ] {
        let (node, report) = read(format, &format!("{before}{}", deep(open, close, 100)));
        let told = report.contains("nested more than 64 levels deep");
        assert!(
            told || format == Format::Toml && report.contains("not valid TOML"),
            "{before}{open}: {report}"
        );
        assert!(format == Format::Toml || node.is_none());
    }
}
