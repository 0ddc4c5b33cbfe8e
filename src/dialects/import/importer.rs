//! The parts that the readers of all formats share: the lines of a file, the document that is made, and its entries.

use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::glob::Glob;
use netkeel_document::draft::{Draft, Entry, LINK, ROUTE, SYSCTL, quoted, sysctl_value};
use netkeel_source::node::Node;
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;
use netkeel_source::span::{FileId, Span};

/// A file of lines.
pub(super) struct Text {
    pub(super) name: String,
    pub(super) lines: Vec<Line>,
}

/// A line with its continuations, without surrounding blanks. It is not blank and no comment.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) span: Span,
}

/// The lines of a text. A backslash at the end of a line continues it; a line that starts with `#` or `;` is a comment.
pub(super) fn lines(file: FileId, text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut at = 0;
    let mut open = false;
    for raw in text.split_inclusive('\n') {
        let start = at;
        at += raw.len();
        let line = raw.trim();
        let is_comment = line.starts_with(['#', ';']);
        if !open && (line.is_empty() || is_comment) {
            continue;
        }
        // A comment between continued lines is skipped.
        if open && is_comment {
            continue;
        }
        let continued = line.strip_suffix('\\');
        let part = continued.unwrap_or(line).trim();
        let start = start + raw.len() - raw.trim_start().len();
        match lines.last_mut().filter(|_| open) {
            Some(last) => {
                last.text = format!("{} {part}", last.text);
                last.span = Span::new(file, last.span.start as usize, start + line.len());
            }
            None => lines.push(Line {
                text: part.to_owned(),
                span: Span::new(file, start, start + line.len()),
            }),
        }
        open = continued.is_some();
    }
    lines
}

/// The document that is made, and the sources for the places of its values.
pub(super) struct Importer<'a> {
    pub(super) sources: &'a Sources,
    pub(super) draft: &'a mut Draft,
}

impl Importer<'_> {
    /// `FILE:LINE` of a span.
    pub(super) fn place(&self, span: Span) -> String {
        let at = Locator::new(self.sources).locate(span);
        format!("{}:{}", at.file, at.line)
    }

    /// Sets a field of a named object.
    pub(super) fn set(
        &mut self,
        section: &'static str,
        key: &str,
        field: (&'static str, String),
        span: Span,
    ) {
        let place = self.place(span);
        // One sysctl has two spellings.
        let key = match key.parse::<SysctlKey>() {
            Ok(sysctl) if section == SYSCTL => sysctl.to_string(),
            _ => key.to_owned(),
        };
        self.draft.set(section, &key, field, &place);
    }

    /// Adds a note on a place.
    pub(super) fn note(&mut self, span: Span, text: &str) {
        let place = self.place(span);
        self.draft.note(format!("{place}: {text}"));
    }

    /// Notes the keys that netkeel does not manage.
    pub(super) fn note_keys(&mut self, span: Span, what: &str, keys: &[String]) {
        if !keys.is_empty() {
            let keys = keys.join(", ");
            self.note(span, &format!("{what}: netkeel does not manage {keys}"));
        }
    }

    /// Sets a field of the interfaces with a name or a pattern. A rule gets a label that no other entry has.
    pub(super) fn set_link(&mut self, target: &Target, field: (&'static str, String), span: Span) {
        let of_links = |entry: &&mut Entry| entry.section == LINK;
        let Some(condition) = &target.condition else {
            let free = self.draft.free_key(LINK, &target.key);
            // The name of an interface is no label.
            let mut rules = self.draft.entries.iter_mut().filter(of_links);
            if let Some(rule) = rules.find(|rule| rule.key == target.key && rule.condition.is_some()) {
                rule.key = free;
            }
            self.set(LINK, &target.key, field, span);
            return;
        };
        let equal = |entry: &&Entry| entry.section == LINK && entry.condition.as_ref() == Some(condition);
        let key = match self.draft.entries.iter().find(equal) {
            Some(entry) => entry.key.clone(),
            None => self.draft.free_key(LINK, &target.key),
        };
        self.set(LINK, &key, field, span);
        let mut entries = self.draft.entries.iter_mut().filter(of_links);
        if let Some(entry) = entries.find(|entry| entry.key == key) {
            entry.condition = Some(condition.clone());
        }
    }

    /// Adds metrics of a route. A second route to the destination becomes a note: a document names one.
    pub(super) fn add_route(&mut self, route: Route, span: Span) {
        if route.metrics.is_empty() {
            return;
        }
        let Some(destination) = route.destination else {
            self.note(span, "a route without a destination");
            return;
        };
        let key = match destination.as_str() {
            "0.0.0.0/0" => "default".to_owned(),
            _ => destination,
        };
        let known = |entry: &Entry| entry.section == ROUTE && entry.key == key;
        if self.draft.entries.iter().any(known) {
            self.note(
                span,
                &format!("another route to {key}: a document has one entry for a destination"),
            );
            return;
        }
        for field in route.place.into_iter().chain(route.metrics) {
            self.set(ROUTE, &key, field, span);
        }
    }
}

/// A route with the metrics that netkeel manages.
#[derive(Default)]
pub(super) struct Route {
    pub(super) destination: Option<String>,
    /// The table and the metric.
    pub(super) place: Vec<(&'static str, String)>,
    /// `mtu` and `advmss`.
    pub(super) metrics: Vec<(&'static str, String)>,
}

/// The interfaces that a configuration is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The name of the interface, or the label of the rule.
    pub(super) key: String,
    /// The conditions of a rule, in YAML.
    pub(super) condition: Option<String>,
}

impl Target {
    /// The interface of a name, or those of a pattern.
    pub(super) fn of_name(name: &str) -> Self {
        match is_pattern(name) {
            false => Target {
                key: name.to_owned(),
                condition: None,
            },
            true => Target {
                key: label(name),
                condition: Some(format!("name: {}", quoted(name))),
            },
        }
    }
}

/// A label of a rule for a text: its letters and digits, with a dash between words.
pub(super) fn label(text: &str) -> String {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    std::iter::once("all").chain(words).collect::<Vec<_>>().join("-")
}

/// Whether a name is a pattern that finds other names.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[']) && Glob::new(name).is_ok()
}

/// A number of bytes, as networkd writes it: with a suffix of base 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (digits, factor) = match text.trim().split_at_checked(text.trim().len().saturating_sub(1)) {
        Some((digits, "K")) => (digits, 1 << 10),
        Some((digits, "M")) => (digits, 1 << 20),
        Some((digits, "G")) => (digits, 1 << 30),
        _ => (text.trim(), 1),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

/// The scalar of a node as text, without quotes.
pub(super) fn scalar(node: &Node) -> Option<String> {
    node.scalar().map(|text| text.into_owned())
}

/// A value of another program in YAML: a number, or text in quotes.
pub(super) fn value(text: &str) -> String {
    sysctl_value(text)
}
