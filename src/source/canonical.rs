//! One spelling for all documents that say the same, so that a hash can name what was said.

use sha2::{Digest, Sha256};

use super::{Data, Node};

/// The SHA-256 of a tree in its canonical spelling, as hexadecimal digits. Format, comments, the
/// order of keys and how a number is quoted make no difference.
pub fn hash(node: &Node) -> String {
    let mut text = String::new();
    spell(node, &mut text);
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// JSON with sorted keys, and with every scalar as text.
fn spell(node: &Node, out: &mut String) {
    match &node.data {
        Data::Null => out.push_str("null"),
        Data::Bool(_) | Data::Integer(_) | Data::Text { .. } => {
            out.push_str(&format!("{:?}", node.scalar().unwrap_or_default()));
        }
        Data::List(items) => {
            out.push('[');
            for item in items {
                spell(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Data::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for entry in entries {
                out.push_str(&format!("{:?}:", entry.key));
                spell(&entry.value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Diagnostics;
    use crate::source::{FileId, Format, parse};

    fn hash(text: &str, format: Format) -> String {
        super::hash(&parse(FileId(0), text, format, &mut Diagnostics::default()).unwrap())
    }

    #[test]
    fn what_says_the_same_has_one_hash() {
        let yaml = hash(
            "version: 1\nlink:\n  eth0: { mtu: '1460', up: true } # both\n",
            Format::Yaml,
        );
        let json = hash(
            r#"{"link": {"eth0": {"up": true, "mtu": 1460}}, "version": 1}"#,
            Format::Json,
        );
        assert_eq!(yaml, json);
        assert_eq!(yaml.len(), 64);
        assert_ne!(
            yaml,
            hash(
                "version: 1\nlink:\n  eth0: { mtu: 1461, up: true }\n",
                Format::Yaml
            )
        );
    }
}
