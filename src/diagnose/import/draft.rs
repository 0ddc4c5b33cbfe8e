//! The entries of the document, before they are known to hold, and their YAML.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use netkeel_core::name::link::LinkName;
use netkeel_core::text::escape::printable;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::read::boolean_word;

/// The section of interfaces.
pub(crate) const LINK: &str = "link";

/// The sections in the order of the document.
const SECTIONS: [&str; 4] = [LINK, "tunnel", "sysctl", "cni"];

/// An entry of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The section.
    pub section: &'static str,
    /// The key.
    pub key: String,
    /// The conditions of a rule, in YAML; `None` for a named object.
    pub condition: Option<String>,
    /// Keys and their values in YAML. A sysctl has one without a key.
    pub fields: Vec<(&'static str, String)>,
    /// The origin, for the comment.
    pub comment: String,
}

/// The document as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    /// The entries.
    pub entries: Vec<Entry>,
    left_out: BTreeSet<String>,
}

impl Draft {
    /// The number of keys that can be left out.
    pub fn size(&self) -> usize {
        self.entries.iter().map(|entry| entry.fields.len() + 1).sum()
    }

    /// Leaves out the key at a path, or the entry that has it. False if no entry has the path.
    pub fn leave_out(&mut self, path: &str) -> bool {
        let at = |entry: &Entry| KeyPath::of(&[entry.section, &entry.key]);
        let of_entry = |entry: &Entry| {
            let at = at(entry);
            path == at
                || path
                    .strip_prefix(&at)
                    .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let Some(number) = self.entries.iter().position(of_entry) else {
            return false;
        };
        let Some(entry) = self.entries.get_mut(number) else {
            return false;
        };
        let of_field = |field: &str| {
            let at = KeyPath::of(&[entry.section, &entry.key, field]);
            path == at
                || path
                    .strip_prefix(&at)
                    .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let field = entry
            .fields
            .iter()
            .position(|(name, _)| !name.is_empty() && of_field(name));
        match field.filter(|_| entry.fields.len() > 1) {
            Some(field) => {
                entry.fields.remove(field);
            }
            None => {
                self.entries.remove(number);
            }
        }
        self.left_out.insert(path.to_owned());
        true
    }

    /// Excludes the other end of a veth. False if it is excluded already.
    pub fn leave_pod(&mut self, name: LinkName) -> bool {
        let key = name.to_string();
        let leave = ("pod_mtu", "leave".to_owned());
        let named =
            |entry: &&mut Entry| entry.section == LINK && entry.key == key && entry.condition.is_none();
        match self.entries.iter_mut().find(named) {
            Some(entry) if entry.fields.contains(&leave) => false,
            Some(entry) => {
                entry.fields.retain(|(name, _)| *name != "pod_mtu");
                entry.fields.push(leave);
                true
            }
            None => {
                self.entries.push(Entry {
                    section: LINK,
                    key,
                    condition: None,
                    fields: vec![leave],
                    comment: "its pod differs".to_owned(),
                });
                true
            }
        }
    }

    /// The document.
    pub fn text(&self, from: &str) -> String {
        let mut out = format!(
            "# The network path of {}, as `netkeel import` found it.\n\
             # `netkeel plan` with this document finds nothing to do.\n\
             version: 1\n",
            printable(from)
        );
        let writes_sysctls = |entry: &Entry| {
            entry.section == "sysctl" || entry.fields.iter().any(|(name, _)| *name == "rp_filter")
        };
        if self.entries.iter().any(writes_sysctls) {
            out.push_str("# Remove this line to make the sysctls hold at boot.\npersist: no\n");
        }
        for section in SECTIONS {
            let entries: Vec<&Entry> = self
                .entries
                .iter()
                .filter(|entry| entry.section == section)
                .collect();
            if entries.is_empty() {
                continue;
            }
            let _ = writeln!(out, "{section}:");
            for entry in entries {
                line(entry, &mut out);
            }
        }
        if !self.left_out.is_empty() {
            out.push_str("# Left out, since the host differs from what netkeel would make of it:\n");
            for path in &self.left_out {
                let _ = writeln!(out, "#   {}", printable(path));
            }
        }
        out
    }
}

fn line(entry: &Entry, out: &mut String) {
    let mut values: Vec<String> = Vec::new();
    if let Some(condition) = &entry.condition {
        values.push(format!("match: {{ {condition} }}"));
    }
    let scalar = match entry.fields.as_slice() {
        [("", value)] => Some(value.clone()),
        fields => {
            values.extend(fields.iter().map(|(name, value)| format!("{name}: {value}")));
            None
        }
    };
    let value = scalar.unwrap_or_else(|| format!("{{ {} }}", values.join(", ")));
    let _ = write!(out, "  {}: {value}", key(&entry.key));
    let _ = match entry.comment.as_str() {
        "" => writeln!(out),
        comment => writeln!(out, "  # {}", printable(comment)),
    };
}

/// A key in YAML: in quotes unless it is a plain word.
fn key(text: &str) -> String {
    let plain = text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "_-./".contains(char))
        && boolean_word(text).is_none()
        && !text.eq_ignore_ascii_case("null");
    match plain {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// Text in double quotes: a JSON string, which YAML reads too.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
