//! A new document as entries, before they are known to hold, and its YAML with comments.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::text::escape::{is_deceptive, printable};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::read::boolean_word;
use netkeel_source::sources::Sources;
use netkeel_source::text::format::Format;

use crate::document::Document;

/// The section of interfaces.
pub const LINK: &str = "link";

/// The section of tunnels.
pub const TUNNEL: &str = "tunnel";

/// The section of routes.
pub const ROUTE: &str = "route";

/// The section of sysctls.
pub const SYSCTL: &str = "sysctl";

/// The section of CNI plugins.
pub const CNI: &str = "cni";

/// The section of NFLOG rules.
pub const NFLOG: &str = "nflog";

/// The sections in the order of the document.
const SECTIONS: [&str; 6] = [LINK, TUNNEL, ROUTE, SYSCTL, CNI, NFLOG];

/// An entry of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
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

impl Entry {
    /// An entry for a named object.
    pub fn named(section: &'static str, key: impl Into<String>, comment: impl Into<String>) -> Self {
        Entry {
            section,
            key: key.into(),
            condition: None,
            fields: Vec::new(),
            comment: comment.into(),
        }
    }

    fn path(&self) -> String {
        KeyPath::of(&[self.section, &self.key])
    }
}

/// The document as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The comment at the top, a line each.
    heading: Vec<String>,
    /// The sysctls are not written to the drop-in for boot.
    pub live_only: bool,
    /// The entries.
    pub entries: Vec<Entry>,
    /// Parts of the source that the document does not declare, each with its reason.
    pub notes: Vec<String>,
    left_out: BTreeSet<String>,
}

impl Draft {
    /// A document without entries, with a comment of these lines at its top.
    pub fn new(heading: &[&str]) -> Self {
        Draft {
            heading: heading.iter().map(|line| (*line).to_owned()).collect(),
            ..Draft::default()
        }
    }

    /// The number of keys that can be left out.
    pub fn size(&self) -> usize {
        self.entries.iter().map(|entry| entry.fields.len() + 1).sum()
    }

    /// Whether a section has an entry of this key.
    pub fn has(&self, section: &str, key: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.section == section && entry.key == key)
    }

    /// The key, with a number after it if the section has it already.
    pub fn free_key(&self, section: &str, key: &str) -> String {
        let numbered = (2..).map(|number: usize| format!("{key}-{number}"));
        std::iter::once(key.to_owned())
            .chain(numbered)
            .find(|key| !self.has(section, key))
            .unwrap_or_else(|| key.to_owned())
    }

    /// Adds a note, unless it is there already.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Sets a field of a named object. A later value replaces an earlier one, with its comment.
    pub fn set(&mut self, section: &'static str, key: &str, field: (&'static str, String), comment: &str) {
        let known = |entry: &&mut Entry| entry.section == section && entry.key == key;
        let entry = match self.entries.iter_mut().find(known) {
            Some(entry) => entry,
            None => {
                self.entries.push(Entry::named(section, key, ""));
                match self.entries.last_mut() {
                    Some(entry) => entry,
                    None => return,
                }
            }
        };
        entry.fields.retain(|(name, _)| *name != field.0);
        entry.fields.push(field);
        let lone = entry.fields.len() == 1;
        match (lone, entry.comment.split("; ").any(|known| known == comment)) {
            (true, _) => comment.clone_into(&mut entry.comment),
            (false, true) => {}
            (false, false) => entry.comment = format!("{}; {comment}", entry.comment),
        }
    }

    /// Leaves out the key at a path, or the entry that has it. False if no entry has the path.
    pub fn leave_out(&mut self, path: &str) -> bool {
        let is_at_or_below = |at: &str| {
            path.strip_prefix(at)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let Some(number) = self
            .entries
            .iter()
            .position(|entry| is_at_or_below(&entry.path()))
        else {
            return false;
        };
        let Some(entry) = self.entries.get_mut(number) else {
            return false;
        };
        let field = entry.fields.iter().position(|(name, _)| {
            !name.is_empty() && is_at_or_below(&KeyPath::of(&[entry.section, &entry.key, name]))
        });
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

    /// Lists an entry as left out that has a key which no document can hold.
    pub fn leave_key_out(&mut self, section: &str, key: &str) {
        self.left_out.insert(KeyPath::of(&[section, key]));
    }

    /// Leaves out what a document cannot declare, whatever the host, with a note that has the reason.
    /// False if the rest is not a document either.
    fn keep_valid(&mut self) -> bool {
        for _ in 0..=self.size() {
            let (_, diagnostics) = self.read(Netns::CURRENT);
            if diagnostics.is_empty() {
                self.left_out.clear();
                return true;
            }
            let mut found = false;
            for diagnostic in diagnostics.list {
                if self.leave_out(&diagnostic.path) {
                    found = true;
                    self.note(format!("{}: {}", diagnostic.path, diagnostic.message));
                }
            }
            if !found {
                return false;
            }
        }
        false
    }

    /// The text of the document, without what no document can declare.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] when the rest is no document either, which is a bug.
    pub fn finish(mut self) -> Result<String, Error> {
        match self.keep_valid() {
            true => Ok(self.text()),
            false => Err(Error::new(
                ErrorKind::Unreadable,
                "the document of these files would be invalid",
            )),
        }
    }

    /// The document as netkeel reads it, and its errors.
    pub fn read(&self, netns: Netns) -> (Document, Diagnostics) {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let bytes = self.text().into_bytes();
        let layers = sources.load("import.yaml", bytes, Some(Format::Yaml), &mut diagnostics);
        let document = Document::read(layers.into_iter().collect(), netns, &mut diagnostics);
        (document, diagnostics)
    }

    /// The document.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for line in &self.heading {
            let _ = writeln!(out, "# {}", printable(line));
        }
        out.push_str("version: 1\n");
        let writes_sysctls = |entry: &Entry| {
            entry.section == SYSCTL || entry.fields.iter().any(|(name, _)| *name == "rp_filter")
        };
        if self.live_only && self.entries.iter().any(writes_sysctls) {
            out.push_str("# Remove this line to make the sysctls hold at boot.\npersist: no\n");
        }
        for section in SECTIONS {
            let mut entries = self
                .entries
                .iter()
                .filter(|entry| entry.section == section)
                .peekable();
            if entries.peek().is_some() {
                let _ = writeln!(out, "{section}:");
            }
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
        if !self.notes.is_empty() {
            out.push_str("# Not declared:\n");
            for note in &self.notes {
                let _ = writeln!(out, "#   {}", printable(note));
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
    let lone = match entry.fields.as_slice() {
        [("", value)] => Some(value.clone()),
        fields => {
            values.extend(fields.iter().map(|(name, value)| format!("{name}: {value}")));
            None
        }
    };
    let value = lone.unwrap_or_else(|| format!("{{ {} }}", values.join(", ")));
    let _ = write!(out, "  {}: {value}", scalar(&entry.key));
    let _ = match entry.comment.as_str() {
        "" => writeln!(out),
        comment => writeln!(out, "  # {}", printable(comment)),
    };
}

/// Text as a key or a value in YAML: in quotes unless it is a plain word.
pub fn scalar(text: &str) -> String {
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

/// Text in double quotes: a JSON string, which YAML reads too. Characters that a terminal would act on, and those that
/// YAML 1.1 reads as a line break, are escaped.
pub fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        match is_deceptive(char) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            false => out.push(char),
        }
    }
    out
}

/// The value of a sysctl: a plain number, or text in quotes.
pub fn sysctl_value(value: &str) -> String {
    match value.parse::<i64>() {
        // `+1` and `007` are numbers of Rust and text of YAML.
        Ok(number) if number.to_string() == value => value.to_owned(),
        _ => quoted(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_replaces_an_earlier_one_and_the_comment_names_both_origins() {
        let mut draft = Draft::default();
        draft.set(LINK, "eth0", ("mtu", "1500".to_owned()), "a.conf:1");
        draft.set(LINK, "eth0", ("rp_filter", "loose".to_owned()), "b.conf:2");
        draft.set(LINK, "eth0", ("mtu", "9000".to_owned()), "b.conf:2");
        draft.set(SYSCTL, "net.core.rmem_max", ("", "1".to_owned()), "c:1");
        draft.set(SYSCTL, "net.core.rmem_max", ("", "2".to_owned()), "c:2");
        assert_eq!(
            draft.text(),
            "version: 1\nlink:\n  eth0: { rp_filter: loose, mtu: 9000 }  # a.conf:1; b.conf:2\n\
             sysctl:\n  net.core.rmem_max: 2  # c:2\n"
        );
    }

    #[test]
    fn what_no_document_can_declare_becomes_a_note() {
        let mut draft = Draft::default();
        draft.set(LINK, "eth0", ("mtu", "12".to_owned()), "a");
        draft.set(LINK, "eth0", ("rp_filter", "strict".to_owned()), "a");
        draft.set(SYSCTL, "kernel.panic", ("", "1".to_owned()), "a");
        assert!(draft.keep_valid());
        let text = draft.text();
        assert!(
            text.contains("  eth0: { rp_filter: strict }  # a\n# Not declared:\n"),
            "{text}"
        );
        assert!(text.contains("#   link.eth0.mtu: 12 is out of range"), "{text}");
        assert!(
            text.contains("kernel/panic is not a setting") || text.contains("kernel.panic is not a setting"),
            "{text}"
        );
    }

    #[test]
    fn values_of_sysctls_are_written_as_they_are_read() {
        for (value, yaml) in [
            ("1", "1"),
            ("-1", "-1"),
            ("007", "\"007\""),
            ("4096 1 2", "\"4096 1 2\""),
            ("cubic", "\"cubic\""),
        ] {
            assert_eq!(sysctl_value(value), yaml);
        }
    }
}
