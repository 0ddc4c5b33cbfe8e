//! The canonical form of a document, for hashing: equivalent documents have the same form.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::node::{Data, Node};

/// The canonical form of a tree: JSON with sorted keys and every number as text. It is a valid document
/// again. Format, comments, the order of keys and the quoting of numbers make no difference. A boolean
/// stays a boolean: as the value of a sysctl it means 0 or 1, and the text does not.
pub fn spell(node: &Node) -> String {
    json(node).to_string()
}

/// The SHA-256 of a text, as hexadecimal digits.
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn json(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(value) => Value::Bool(*value),
        Data::Integer(_) | Data::Text { .. } => Value::String(node.scalar().unwrap_or_default().into_owned()),
        Data::List(items) => Value::Array(items.iter().map(json).collect()),
        Data::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            let entries = entries
                .into_iter()
                .map(|entry| (entry.key.clone(), json(&entry.value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::parse::parse;
    use crate::span::FileId;
    use crate::text::format::Format;

    fn canonical(text: &str, format: Format) -> String {
        spell(&parse(FileId(0), text, format, &mut Diagnostics::default()).unwrap())
    }

    #[test]
    fn what_says_the_same_has_one_spelling() {
        let yaml = canonical(
            "version: 1\nlink:\n  eth0: { mtu: '1460', up: true } # both\n",
            Format::Yaml,
        );
        let json = canonical(
            r#"{"link": {"eth0": {"up": true, "mtu": 1460}}, "version": 1}"#,
            Format::Json,
        );
        assert_eq!(yaml, json);
        insta::assert_snapshot!(yaml, @r#"{"link":{"eth0":{"mtu":"1460","up":true}},"version":"1"}"#);
        assert_eq!(canonical(&yaml, Format::Json), yaml);
        assert_eq!(digest(&yaml).len(), 64);
        let again = parse(FileId(0), &yaml, Format::Json, &mut Diagnostics::default()).unwrap();
        let up = again.get("link").and_then(|link| link.get("eth0")?.get("up"));
        assert_eq!(up.and_then(Node::vector).as_deref(), Some("1"));
    }
}
