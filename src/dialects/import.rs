//! Network configurations of other programs as a new netkeel document: the parts that netkeel manages, and a note for
//! every other part.

mod ifupdown;
mod netplan;
mod networkd;
mod nmstate;
mod wikimedia;

use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::glob::Glob;
use netkeel_document::draft::{Draft, Entry, LINK, ROUTE, SYSCTL, quoted, sysctl_value};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;
use netkeel_source::span::{FileId, Span};

/// A configuration that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The state that `nmstatectl` shows and applies.
    Nmstate,
    /// Netplan's YAML (netplan(5)).
    Netplan,
    /// The stanzas of /etc/network/interfaces (interfaces(5)).
    Ifupdown,
    /// Files of systemd.network(5), systemd.netdev(5) and systemd.link(5).
    Networkd,
    /// Hiera data of Wikimedia's Puppet tree.
    WikimediaHiera,
}

/// The document from files in their order: later ones override earlier ones. The files of networkd are read in its own
/// order, and the first one that matches an interface wins.
///
/// Broken files are errors in `diagnostics`, with their places.
pub fn import(
    format: Format,
    files: Vec<(String, Vec<u8>)>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Draft {
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let heading = format!("Imported from {} by `netkeel import`.", names.join(", "));
    let mut draft = Draft::new(&[&heading]);
    match format {
        Format::Nmstate | Format::Netplan | Format::WikimediaHiera => {
            let mut nodes = Vec::new();
            for (name, bytes) in files {
                nodes.extend(sources.load_with(&name, bytes, None, format == Format::Nmstate, diagnostics));
            }
            let mut into = Importer {
                sources,
                draft: &mut draft,
            };
            match format {
                Format::Netplan => netplan::read(&nodes, &mut into, diagnostics),
                Format::WikimediaHiera => wikimedia::read(&nodes, &mut into, diagnostics),
                Format::Nmstate | Format::Ifupdown | Format::Networkd => {
                    nmstate::read(&nodes, &mut into, diagnostics);
                }
            }
        }
        Format::Ifupdown | Format::Networkd => {
            let mut texts = Vec::new();
            for (name, bytes) in files {
                let file = sources.add_bytes(&name, bytes, diagnostics);
                texts.extend(file.map(|file| (file, name)));
            }
            let texts: Vec<Text> = texts
                .into_iter()
                .map(|(file, name)| Text {
                    lines: lines(file, sources.text(file)),
                    name,
                })
                .collect();
            let mut into = Importer {
                sources,
                draft: &mut draft,
            };
            match format {
                Format::Ifupdown => ifupdown::read(&texts, &mut into, diagnostics),
                _ => networkd::read(&texts, &mut into, diagnostics),
            }
        }
    }
    draft
}

/// A file of lines.
struct Text {
    name: String,
    lines: Vec<Line>,
}

/// A line with its continuations, without surrounding blanks. It is not blank and no comment.
#[derive(Clone, Debug)]
struct Line {
    text: String,
    span: Span,
}

/// The lines of a text. A backslash at the end of a line continues it; a line that starts with `#` or `;` is a comment.
fn lines(file: FileId, text: &str) -> Vec<Line> {
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
struct Importer<'a> {
    sources: &'a Sources,
    draft: &'a mut Draft,
}

impl Importer<'_> {
    /// `FILE:LINE` of a span.
    fn place(&self, span: Span) -> String {
        let at = Locator::new(self.sources).locate(span);
        format!("{}:{}", at.file, at.line)
    }

    /// Sets a field of a named object.
    fn set(&mut self, section: &'static str, key: &str, field: (&'static str, String), span: Span) {
        let place = self.place(span);
        // One sysctl has two spellings.
        let key = match key.parse::<SysctlKey>() {
            Ok(sysctl) if section == SYSCTL => sysctl.to_string(),
            _ => key.to_owned(),
        };
        self.draft.set(section, &key, field, &place);
    }

    /// Adds a note on a place.
    fn note(&mut self, span: Span, text: &str) {
        let place = self.place(span);
        self.draft.note(format!("{place}: {text}"));
    }

    /// Notes the keys that netkeel does not manage.
    fn note_keys(&mut self, span: Span, what: &str, keys: &[String]) {
        if !keys.is_empty() {
            let keys = keys.join(", ");
            self.note(span, &format!("{what}: netkeel does not manage {keys}"));
        }
    }

    /// Sets a field of the interfaces with a name or a pattern. A rule gets a label that no other entry has.
    fn set_link(&mut self, target: &Target, field: (&'static str, String), span: Span) {
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
    fn add_route(&mut self, route: Route, span: Span) {
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
struct Route {
    destination: Option<String>,
    /// The table and the metric.
    place: Vec<(&'static str, String)>,
    /// `mtu` and `advmss`.
    metrics: Vec<(&'static str, String)>,
}

/// The interfaces that a configuration is about.
#[derive(Clone, Debug)]
struct Target {
    /// The name of the interface, or the label of the rule.
    key: String,
    /// The conditions of a rule, in YAML.
    condition: Option<String>,
}

impl Target {
    /// The interface of a name, or those of a pattern.
    fn of_name(name: &str) -> Self {
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
fn label(text: &str) -> String {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    std::iter::once("all").chain(words).collect::<Vec<_>>().join("-")
}

/// Whether a name is a pattern that finds other names.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[']) && Glob::new(name).is_ok()
}

/// A number of bytes, as networkd writes it: with a suffix of base 1024.
fn bytes(text: &str) -> Option<u64> {
    let (digits, factor) = match text.trim().split_at_checked(text.trim().len().saturating_sub(1)) {
        Some((digits, "K")) => (digits, 1 << 10),
        Some((digits, "M")) => (digits, 1 << 20),
        Some((digits, "G")) => (digits, 1 << 30),
        _ => (text.trim(), 1),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

/// The scalar of a node as text, without quotes.
fn scalar(node: &Node) -> Option<String> {
    node.scalar().map(|text| text.into_owned())
}

/// A value of another program in YAML: a number, or text in quotes.
fn value(text: &str) -> String {
    sysctl_value(text)
}

#[cfg(test)]
mod tests;
