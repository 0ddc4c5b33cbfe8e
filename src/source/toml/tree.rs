//! Converts the library's tables to a tree of nodes.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostics;
use crate::node::read::boolean_word;
use crate::node::{Data, Entry, Node};
use crate::span::{FileId, Span};
use crate::text::limits::{MAX_DEPTH, MAX_NODES};
use netkeel_core::text::number;

/// Reads values, and reports those that the library substituted for invalid ones.
pub(crate) struct Reader<'a, 'd> {
    text: &'a str,
    file: FileId,
    /// Scalars that already have a diagnostic.
    pub explained: Explained,
    /// The number of values so far; values beyond [`MAX_NODES`] are not read.
    pub nodes: usize,
    /// The first map or list that is nested too deep; its content is not read.
    pub(crate) too_deep: Option<Span>,
    /// Whether a value is invalid.
    pub broken: bool,
    diagnostics: &'d mut Diagnostics,
}

/// Disjoint ranges of the text: their starts and ends.
#[derive(Default)]
pub(crate) struct Explained(BTreeMap<usize, usize>);

impl Explained {
    /// Whether a range lies in one of these.
    pub(crate) fn covers(&self, range: &Range<usize>) -> bool {
        let before = self.0.range(..=range.start).next_back();
        before.is_some_and(|(_, end)| range.end <= *end)
    }
}

impl<'a, 'd> Reader<'a, 'd> {
    pub fn new(text: &'a str, file: FileId, diagnostics: &'d mut Diagnostics) -> Self {
        Reader {
            text,
            file,
            explained: Explained::default(),
            nodes: 0,
            too_deep: None,
            broken: false,
            diagnostics,
        }
    }

    /// The whole document.
    pub fn root(&mut self, table: &DeTable<'_>) -> Node {
        let span = Span::new(self.file, 0, self.text.len());
        self.map(table, span, 0)
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range.start, range.end)
    }

    fn map(&mut self, table: &DeTable<'_>, span: Span, depth: usize) -> Node {
        let mut entries = Vec::new();
        if self.enter(span, depth) {
            for (key, value) in table {
                entries.push(Entry {
                    key: key.get_ref().to_string(),
                    key_span: self.span(key.span()),
                    value: self.value(value, depth + 1),
                });
            }
        }
        // The library moves a table to the end when a header comes after those of its own tables.
        entries.sort_by_key(first_mention);
        let data = Data::Map(entries);
        Node { span, data }
    }

    /// Whether a map or a list may be read.
    fn enter(&mut self, span: Span, depth: usize) -> bool {
        self.nodes += 1;
        if depth >= MAX_DEPTH {
            self.too_deep.get_or_insert(span);
        }
        depth < MAX_DEPTH && self.nodes <= MAX_NODES
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Node {
        let range = value.span();
        let span = self.span(range.clone());
        let data = match value.get_ref() {
            DeValue::Table(table) => return self.map(table, span, depth),
            DeValue::Array(array) => {
                let mut items = Vec::new();
                if self.enter(span, depth) {
                    items.extend(array.iter().map(|item| self.value(item, depth + 1)));
                }
                Data::List(items)
            }
            scalar => {
                self.nodes += 1;
                self.scalar(scalar, range)
            }
        };
        Node { span, data }
    }

    fn scalar(&mut self, value: &DeValue<'_>, range: Range<usize>) -> Data {
        let raw = self.text.get(range.clone()).unwrap_or_default();
        let quoted = raw.starts_with(['"', '\'']);
        if raw.is_empty() {
            self.refuse(range, "a value is missing");
            return Data::Null;
        }
        if !quoted {
            if let Some(number) = number::decimal(raw) {
                return Data::Integer(number);
            }
            // Rejected where a number is required, with the decimal form as a hint; the library's
            // errors say less.
            if number::form(raw).is_some() {
                self.explained.0.insert(range.start, range.end);
            }
        }
        match value {
            DeValue::Boolean(value) => Data::Bool(*value),
            DeValue::String(text) => {
                if !quoted {
                    self.refuse(range, "string values must be quoted");
                }
                Data::Text {
                    value: text.to_string(),
                    plain: false,
                }
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => Data::Text {
                value: raw.to_owned(),
                plain: true,
            },
        }
    }

    fn refuse(&mut self, range: Range<usize>, why: &str) {
        self.broken = true;
        self.explained.0.insert(range.start, range.end);
        let word = self.text.get(range.clone()).unwrap_or_default();
        let span = self.span(range);
        let diagnostic = self.diagnostics.add(span, "", format!("not valid TOML: {why}"));
        if boolean_word(word).is_some() {
            diagnostic.hint("TOML has `true` and `false`; other words need quotes");
        }
    }
}

/// The first position of a key, or of a header of a table in it.
fn first_mention(entry: &Entry) -> u32 {
    let below = entry.value.entries().first().map(first_mention);
    below.map_or(entry.key_span.start, |below| below.min(entry.key_span.start))
}
