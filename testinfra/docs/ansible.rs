//! The argument specification of the Ansible role: sections of a document with fixed keys have these as typed
//! options. Ansible cannot type the values of free keys, as the names of interfaces in `link`.

use std::ops::Range;

use serde_json::{Map, Value};

use super::pages::page;
use netkeel_document::document::SHAPE;
use netkeel_document::schema::json_schema;

/// Longest line of the specification.
const WIDTH: usize = 150;

/// Sections with fixed keys have typed options, so that Ansible reports a wrong one before it touches a host.
#[test]
fn the_role_has_typed_options() {
    let schema = json_schema(&SHAPE, "document");
    let page = page("modules/ansible_collections/netkeel/netkeel/roles/netkeel/meta/argument_specs.yml");
    let sections = typed_sections(&schema);
    assert!(
        sections.iter().any(|(key, _)| *key == "replicate"),
        "{sections:?}"
    );
    let mut parts: Vec<_> = sections
        .into_iter()
        .map(|(key, options)| (place(&page.text, key), options))
        .collect();
    parts.sort_by_key(|(range, _)| range.start);
    page.settle(parts);
}

/// The sections of a document whose keys are fixed, with the options that Ansible should know.
fn typed_sections(schema: &Value) -> Vec<(&str, String)> {
    let sections = schema["properties"].as_object().unwrap();
    let typed = sections.iter().filter_map(|(key, section)| {
        let keys = keys(section)?;
        Some((key.as_str(), options(keys, 8)))
    });
    typed.collect()
}

/// Where the options of a section are in the text of the specification: behind its description.
fn place(text: &str, key: &str) -> Range<usize> {
    let head = format!("\n      netkeel_{key}:\n");
    let start = text.find(&head).unwrap_or_else(|| panic!("no netkeel_{key}")) + head.len();
    let end = text[start..]
        .find("\n      netkeel_")
        .map_or(text.len(), |at| start + at + 1);
    let begin = text[start..end]
        .find("        options:\n")
        .map_or(end, |at| start + at);
    begin..end
}

/// The fixed keys of a value that can only be a map of such, or nothing.
fn keys(schema: &Value) -> Option<&Map<String, Value>> {
    let [only] = forms(schema)[..] else { return None };
    only.get("properties")?.as_object()
}

/// The forms of a value without `null`, which withdraws it.
fn forms(schema: &Value) -> Vec<&Value> {
    let listed = ["anyOf", "allOf"]
        .iter()
        .find_map(|word| schema.get(word)?.as_array());
    let all = listed.map_or_else(|| vec![schema], |all| all.iter().collect());
    let is_null = |form: &&Value| form.get("type").and_then(Value::as_str) == Some("null");
    all.into_iter().filter(|form| !is_null(form)).collect()
}

fn options(keys: &Map<String, Value>, indent: usize) -> String {
    let mut text = format!("{:indent$}options:\n", "");
    for (key, schema) in keys {
        let (at, below) = (indent + 2, indent + 4);
        text += &format!("{:at$}{key}:\n", "");
        for line in kind(schema) {
            text += &format!("{:below$}{line}\n", "");
        }
        text += &described(schema["description"].as_str().unwrap(), below);
        if let Some(keys) = self::keys(schema) {
            text += &options(keys, below);
        }
    }
    text
}

/// The type of a value, as lines. One that has forms of several types is `raw`: netkeel checks it.
fn kind(schema: &Value) -> Vec<String> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for form in forms(schema) {
        let kind = one_kind(form);
        // Numbers and booleans may be text, which Ansible converts.
        let is_text_of = |other: &Vec<String>| matches!(other[0].as_str(), "type: int" | "type: bool");
        let of_another = form.get("pattern").is_some() && found.iter().any(is_text_of);
        if !of_another && !found.contains(&kind) {
            found.push(kind);
        }
    }
    match found.len() {
        1 => found.remove(0),
        _ => vec!["type: raw".to_owned()],
    }
}

fn one_kind(form: &Value) -> Vec<String> {
    if let Some(words) = form.get("enum").and_then(Value::as_array) {
        let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
        return vec!["type: str".to_owned(), format!("choices: [{}]", words.join(", "))];
    }
    let lines: &[&str] = match form["type"].as_str().unwrap() {
        "integer" => &["type: int"],
        "boolean" => &["type: bool"],
        "string" => &["type: str"],
        "array" => &["type: list", "elements: str"],
        "object" => &["type: dict"],
        other => panic!("no type of Ansible for {other}"),
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// A description as a folded block, in lines of at most [`WIDTH`].
fn described(text: &str, indent: usize) -> String {
    let mut block = format!("{:indent$}description: >-\n", "");
    let indent = indent + 2;
    let mut line = " ".repeat(indent);
    for word in text.split_whitespace() {
        if line.len() + word.len() >= WIDTH {
            block += line.trim_end();
            block += "\n";
            line = " ".repeat(indent);
        }
        line += word;
        line += " ";
    }
    block += line.trim_end();
    block + "\n"
}
