//! A tree as YAML: in lines, two blanks a level, with quotes where a reader could take a text for
//! something else.

use std::fmt::Write as _;

use crate::source::node::boolean_word;
use crate::source::{Data, Entry, Node, number};

/// The tree as the text of one document.
pub fn document(node: &Node) -> String {
    let mut out = String::new();
    match &node.data {
        Data::Map(entries) if !entries.is_empty() => map(entries, 0, &mut out),
        Data::List(items) if !items.is_empty() => list(items, 0, &mut out),
        _ => {
            value(node, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

fn map(entries: &[Entry], level: usize, out: &mut String) {
    for (index, entry) in entries.iter().enumerate() {
        // The first one stands behind the dash of its list.
        if index > 0 || !out.ends_with("- ") {
            indent(level, out);
        }
        scalar(&entry.key, true, out);
        out.push(':');
        below(&entry.value, level, out);
    }
}

fn list(items: &[Node], level: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !out.ends_with("- ") {
            indent(level, out);
        }
        out.push_str("- ");
        match &item.data {
            Data::Map(entries) if !entries.is_empty() => map(entries, level + 1, out),
            Data::List(items) if !items.is_empty() => list(items, level + 1, out),
            _ => {
                value(item, level + 1, out);
                out.push('\n');
            }
        }
    }
}

/// What follows a key.
fn below(node: &Node, level: usize, out: &mut String) {
    match &node.data {
        Data::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            map(entries, level + 1, out);
        }
        Data::List(items) if !items.is_empty() => {
            out.push('\n');
            list(items, level + 1, out);
        }
        _ => {
            out.push(' ');
            value(node, level + 1, out);
            out.push('\n');
        }
    }
}

/// A value on one line, or a text of several lines as a block.
fn value(node: &Node, level: usize, out: &mut String) {
    match &node.data {
        Data::Null => out.push('~'),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::Integer(value) => drop(write!(out, "{value}")),
        Data::Text { value, .. } if is_block(value) => {
            out.push('|');
            for line in value.lines() {
                out.push('\n');
                if !line.is_empty() {
                    indent(level, out);
                    out.push_str(line);
                }
            }
        }
        Data::Text { value, plain } => scalar(value, *plain, out),
        Data::List(_) => out.push_str("[]"),
        Data::Map(_) => out.push_str("{}"),
    }
}

fn indent(level: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", level));
}

/// Lines that a literal block gives back as they are.
fn is_block(text: &str) -> bool {
    let printable = |char: char| char == '\n' || char == ' ' || !char.is_control() && !char.is_whitespace();
    let begins = text.starts_with(|char: char| char.is_ascii_graphic());
    begins && text.ends_with('\n') && !text.ends_with("\n\n") && text.chars().all(printable)
}

fn scalar(text: &str, plain: bool, out: &mut String) {
    if plain && is_plain(text) {
        out.push_str(text);
    } else {
        // A string of JSON is one of YAML.
        let _ = write!(out, "{}", serde_json::Value::from(text));
    }
}

/// What every reader takes for this text.
fn is_plain(text: &str) -> bool {
    let inside = |char: char| char.is_ascii_alphanumeric() || "._/-:".contains(char);
    text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '/')
        && !text.ends_with(':')
        && text.chars().all(inside)
        && boolean_word(text).is_none()
        && number::form(text).is_none()
        && !["y", "n", "null", "inf", "nan"]
            .iter()
            .any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::testing::{bare, expected, json_map, outline, yaml};

    #[test]
    fn reads_as_people_write_it() {
        let tree = yaml(
            "a: {b: [1, {c: d, e: ['f', [g, []]]}, {}], 'on': 'on', n: ~, t: \"x\\ny\\n\", net.x/y: ''}",
        );
        insta::assert_snapshot!(document(&tree), @r#"
        a:
          b:
            - 1
            - c: d
              e:
                - "f"
                - - g
                  - []
            - {}
          "on": "on"
          "n": ~
          t: |
            x
            y
          net.x/y: ""
        "#);
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same_tree(value in json_map()) {
            let tree = expected(&value);
            let text = document(&tree);
            prop_assert_eq!(outline(&bare(yaml(&text))), outline(&tree), "{}", text);
        }
    }
}
