//! `edit` changes one value of a document in YAML, JSON or TOML, and no other byte of the file.

use std::cell::Cell;
use std::fmt::Write as _;

use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::{Map, Value, json};

use super::{NOTHING, Reached, because, hold};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::edit::{Set, edited};
use netkeel_source::node::{Data, Node};
use netkeel_source::sources::Sources;

/// A value of a document: its path for `edit`, and where it is in the tree.
struct Leaf {
    path: String,
    steps: Vec<Step>,
}

#[derive(Clone)]
enum Step {
    Key(String),
    Item(usize),
}

fn leaves(value: &Value, path: &str, steps: &[Step], found: &mut Vec<Leaf>) {
    let below = |step: Step| [steps, &[step]].concat();
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let quoted = Value::from(key.as_str());
                let path = if path.is_empty() {
                    quoted.to_string()
                } else {
                    format!("{path}.{quoted}")
                };
                leaves(value, &path, &below(Step::Key(key.clone())), found);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                leaves(value, &format!("{path}[{at}]"), &below(Step::Item(at)), found);
            }
        }
        _ => found.push(Leaf {
            path: path.to_owned(),
            steps: steps.to_vec(),
        }),
    }
}

fn at<'a>(value: &'a mut Value, steps: &[Step]) -> &'a mut Value {
    steps.iter().fold(value, |value, step| match step {
        Step::Key(key) => &mut value[key.as_str()],
        Step::Item(item) => &mut value[*item],
    })
}

/// Another value of the same kind.
fn other(value: &Value) -> Value {
    match value {
        Value::Bool(value) => json!(!value),
        Value::Number(number) => json!(number.as_i64().unwrap_or_default() * 10 + 7),
        Value::String(text) => json!(format!("{text} # \"x\", y: [")),
        other => panic!("{other} is no leaf"),
    }
}

/// YAML with comments, in blocks or between braces as the length of a key decides.
fn yaml(entries: &Map<String, Value>, indent: usize, out: &mut String) {
    for (key, value) in entries {
        let blanks = " ".repeat(indent);
        let key_text = Value::from(key.as_str());
        match value {
            Value::Object(below) if !below.is_empty() && (indent == 0 || key.len() % 2 == 0) => {
                let _ = writeln!(out, "{blanks}# about {key_text}\n{blanks}{key_text}:   # below");
                yaml(below, indent + 2, out);
            }
            value => {
                let _ = writeln!(out, "{blanks}{key_text}:  {value}   # {key_text}: 1");
            }
        }
    }
}

/// A value in one line of TOML.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let entries = entries.iter();
            let entries =
                entries.map(|(key, value)| format!("{} = {}", Value::from(key.as_str()), inline(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[ {} ]", items.join(", "))
        }
        // A string of JSON is one of TOML.
        scalar => scalar.to_string(),
    }
}

/// TOML with comments: a table for each entry of a section that is a map.
fn toml(document: &Map<String, Value>) -> String {
    let mut out = String::new();
    let line = |key: &str, value: &Value| {
        let key = Value::from(key);
        format!("# about {key}\n{key}  =  {}   # {key} = 1\n", inline(value))
    };
    let is_map = |value: &&Value| value.is_object();
    for (key, value) in document.iter().filter(|(_, value)| !is_map(value)) {
        out += &line(key, value);
    }
    for (section, entries) in document {
        let Some(entries) = entries.as_object() else {
            continue;
        };
        let _ = writeln!(out, "\n[{section}] # a section");
        for (key, value) in entries.iter().filter(|(_, value)| !is_map(value)) {
            out += &line(key, value);
        }
        for (name, entry) in entries {
            let Some(fields) = entry.as_object() else { continue };
            let _ = writeln!(out, "[{section}.{}]", Value::from(name.as_str()));
            for (key, value) in fields {
                out += &line(key, value);
            }
        }
    }
    out
}

/// The document as netkeel reads it.
fn read(name: &str, text: &str) -> Result<Value, TestCaseError> {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let node = sources.load(name, text.as_bytes().to_vec(), None, &mut diagnostics);
    prop_assert!(diagnostics.is_empty(), "{diagnostics:?}\n{text}");
    Ok(json_of(
        &node.ok_or_else(|| TestCaseError::fail(text.to_owned()))?,
    ))
}

fn json_of(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => json!(value),
        Data::Integer(value) => json!(value),
        Data::Text { value, .. } => json!(value),
        Data::List(items) => items.iter().map(json_of).collect(),
        Data::Map(entries) => {
            let entries = entries.iter();
            entries
                .map(|entry| (entry.key.clone(), json_of(&entry.value)))
                .collect()
        }
    }
}

fn kept(document: &Value, edits: &Cell<usize>) -> Result<(), TestCaseError> {
    let entries = document.as_object().unwrap();
    let mut block = "# A site.\n\n".to_owned();
    yaml(entries, 0, &mut block);
    let files = [
        ("site.yaml", block),
        (
            "site.json",
            serde_json::to_string_pretty(document).map_err(because)?,
        ),
        ("site.toml", toml(entries)),
    ];
    let mut found = Vec::new();
    leaves(document, "", &[], &mut found);
    for (name, text) in &files {
        prop_assert_eq!(&read(name, text)?, document, "{}", text);
        for leaf in &found {
            let mut expected = document.clone();
            let place = at(&mut expected, &leaf.steps);
            let (old, new) = (place.clone(), other(place));
            // A `#` begins a comment outside of quotes, so that one line of YAML may not have it.
            let new = match new {
                Value::String(text) => Value::from(text.replace('#', "%")),
                new => new,
            };
            *place = new.clone();
            let set = |value: &Value| Set {
                path: leaf.path.clone(),
                value: value.to_string(),
            };
            let changed = edited(name, text, &set(&new)).map_err(because)?;
            let Some(changed) = changed else {
                return Err(TestCaseError::fail(format!(
                    "{name} has no {}\n{text}",
                    leaf.path
                )));
            };
            prop_assert_eq!(&read(name, &changed)?, &expected, "{}: {}", leaf.path, changed);
            let lines = text.lines().zip(changed.lines()).filter(|(old, new)| old != new);
            prop_assert_eq!(lines.count(), 1, "{}: {}", leaf.path, changed);
            prop_assert_eq!(text.lines().count(), changed.lines().count());
            // The old value back: every other byte was kept.
            let back = edited(name, &changed, &set(&old)).map_err(because)?;
            prop_assert_eq!(back.as_deref(), Some(text.as_str()), "{}", leaf.path);
            edits.set(edits.get() + 1);
        }
    }
    Ok(())
}

#[test]
fn an_edit_changes_one_value_and_no_other_byte() {
    let edits = Cell::new(0);
    hold(100, NOTHING, |document, _| {
        kept(document, &edits)?;
        Ok(Reached::Planned)
    });
    assert!(edits.get() > 3000, "{} edits", edits.get());
}
