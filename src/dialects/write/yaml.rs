//! Writes a tree as YAML with `serde-saphyr`, which quotes each text that YAML 1.1 or 1.2 would
//! read as another type.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_saphyr::{ser_options, to_string_with_options};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_source::node::{Data, Node};

/// The tree as the text of one YAML document.
///
/// # Errors
/// When the library refuses a value; no such tree is known.
pub fn document(node: &Node) -> Result<String, Error> {
    // Long texts stay on one line, so that they can be searched for and are not misread.
    let options = ser_options! { compact_list_indent: false, folded_wrap_chars: usize::MAX };
    to_string_with_options(&Tree(node), options).map_err(|error| {
        Error::new(
            ErrorKind::Unreadable,
            format!("the values cannot be written as YAML: {error}"),
        )
    })
}

/// A tree as a serde value.
struct Tree<'a>(&'a Node);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.data {
            Data::Null => serializer.serialize_unit(),
            Data::Bool(value) => serializer.serialize_bool(*value),
            Data::Integer(value) => serializer.serialize_i64(*value),
            Data::Text { value, .. } => serializer.serialize_str(value),
            Data::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|item| list.serialize_element(&Tree(item)))?;
                list.end()
            }
            Data::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key, &Tree(&entry.value))?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::{bare, expected, json_map, outline, yaml};
    use proptest::prelude::*;

    #[test]
    fn reads_as_people_write_it() {
        let tree = yaml(
            "a: {b: [1, {c: d, e: ['f', [g, []]]}, {}], 'on': 'on', n: ~, t: \"x\\ny\\n\", net.x/y: ''}",
        );
        insta::assert_snapshot!(document(&tree).unwrap(), @r#"
        a:
          b:
            - 1
            - c: d
              e:
                - f
                - - g
                  - []
            - {}
          "on": "on"
          "n": null
          t: |
            x
            y
          net.x/y: ""
        "#);
    }

    #[test]
    fn texts_that_yaml_1_1_takes_for_something_else_are_quoted() {
        for text in [
            "yes",
            "No",
            "ON",
            "off",
            "y",
            "N",
            "true",
            "~",
            "null",
            "",
            "017",
            "0x1F",
            "1_000",
            "1e3",
            "1:30",
            "2026-11-28",
            ".inf",
            "=",
            "<<",
            "- a",
            "a: b",
            "a #b",
            "*a",
            "&a",
            "!a",
            " a",
            "a ",
            "10.0.0.1: x",
        ] {
            let tree = expected(&serde_json::json!({ text: text }));
            let written = document(&tree).unwrap();
            let quote = |text: &str| text.starts_with(['"', '\'']);
            let (_, value) = written.trim_end().rsplit_once(": ").unwrap();
            assert!(
                quote(&written) && (quote(value) || value.ends_with(['"', '\''])),
                "{written}"
            );
        }
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same_tree(value in json_map()) {
            let tree = expected(&value);
            let text = document(&tree).unwrap();
            prop_assert_eq!(texts(&yaml(&text)), texts(&tree), "{}", text);
        }

        #[test]
        fn long_texts_read_back(text in "([a-z \\n]{0,9}|[ -~]{0,9}|  \\n?|\\t){0,30}") {
            let tree = expected(&serde_json::json!({ "a": { "b": [text] } }));
            let written = document(&tree).unwrap();
            prop_assert_eq!(texts(&yaml(&written)), texts(&tree), "{}", written);
        }
    }

    /// The tree regardless of quotes: netkeel reads a plain `inf` as text.
    fn texts(node: &Node) -> String {
        fn unquote(node: &mut Node) {
            match &mut node.data {
                Data::Text { plain, .. } => *plain = false,
                Data::List(items) => items.iter_mut().for_each(unquote),
                Data::Map(entries) => entries.iter_mut().for_each(|entry| unquote(&mut entry.value)),
                Data::Null | Data::Bool(_) | Data::Integer(_) => {}
            }
        }
        let mut node = bare(node.clone());
        unquote(&mut node);
        outline(&node)
    }
}
