//! The files of one invocation. All formats parse to one tree of nodes with spans, so every error has
//! its line and all errors are reported at once.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::Diagnostics;
use crate::node::{Data, Node};
use crate::parse::parse_with;
use crate::report::mask::Shown;
use crate::span::{FileId, Span};
use crate::text::decode;
use crate::text::decode::decode;
use crate::text::format::{Format, detect};

/// A document's name and text, kept for error messages.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The displayed name: the path as the user gave it, or `<stdin>`.
    pub name: Arc<str>,
    /// The text, without a byte order mark.
    pub text: Arc<str>,
    /// The parts of it that messages show.
    pub shown: Shown,
}

/// All files of one invocation, in the order of their layers.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The files; a [`FileId`] indexes them.
    pub files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a file, without its byte order mark, and returns its id.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        let id = FileId(u16::try_from(self.files.len()).unwrap_or(u16::MAX));
        self.files.push(SourceFile {
            name: name.into(),
            text: decode::without_mark(text).into(),
            shown: Shown::All,
        });
        id
    }

    /// Adds and parses a file: decodes it, detects the format when none is given, and keeps the text
    /// for messages. `None` when the file cannot be parsed.
    pub fn load(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        format: Option<Format>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Node> {
        self.load_with(name, bytes, format, false, diagnostics).pop()
    }

    /// As [`Sources::load`]; with `many`, every document of a YAML file. Empty when the file cannot be
    /// parsed.
    pub fn load_with(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        format: Option<Format>,
        many: bool,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Node> {
        let nodes = self.add_bytes(name, bytes, diagnostics).and_then(|file| {
            let text = self.text(file);
            let format = format.unwrap_or_else(|| detect(name, text));
            parse_with(file, text, format, many, diagnostics)
        });
        diagnostics.lost |= nodes.is_none();
        nodes.unwrap_or_default()
    }

    /// Adds a file and decodes it. `None` when it is not text.
    pub fn add_bytes(&mut self, name: &str, bytes: Vec<u8>, diagnostics: &mut Diagnostics) -> Option<FileId> {
        match decode(bytes) {
            Ok(text) => Some(self.add(name, &text)),
            Err(error) => {
                let file = self.add(name, "");
                let diagnostic = diagnostics.add(Span::new(file, 0, 0), "", error.message);
                diagnostic.hints = error.hints;
                None
            }
        }
    }

    /// As [`Sources::load_with`], for a file of another program: messages show its keys, and the values for
    /// whose path of keys `reads` is true. They show no value when the file cannot be parsed.
    pub fn load_foreign(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        many: bool,
        reads: &dyn Fn(&[&str]) -> bool,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Node> {
        let nodes = self.load_with(name, bytes, None, many, diagnostics);
        let mut ranges = Vec::new();
        for node in &nodes {
            reveal(node, &mut Vec::new(), reads, &mut ranges);
        }
        ranges.sort_by_key(|range| (range.start, range.end));
        ranges.dedup();
        if let Some(file) = self.files.last_mut() {
            file.shown = Shown::Only(ranges);
        }
        nodes
    }

    /// Hides values in messages about the file that was loaded last: those of the keys for which `is_secret`
    /// is true. Where the file could not be parsed, the rest of each line that `mentions` is true for.
    pub fn hide(
        &mut self,
        nodes: &[Node],
        is_secret: &dyn Fn(&str) -> bool,
        mentions: &dyn Fn(&str) -> Option<usize>,
    ) {
        let Some(file) = self.files.last_mut() else { return };
        let mut hidden = Vec::new();
        for node in nodes {
            values_of(node, is_secret, &mut hidden);
        }
        if nodes.is_empty() {
            let mut start = 0;
            for line in file.text.split_inclusive('\n') {
                if let Some(at) = mentions(line) {
                    let bytes = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                    hidden.push(bytes(start + at)..bytes(start + line.len()));
                }
                start += line.len();
            }
        }
        file.shown.hide(&hidden);
    }

    /// The text of a file as messages show it, line by line. Nothing of a file that was not loaded is shown.
    pub fn masked(&self, file: FileId) -> String {
        let shown = self.shown(file);
        let (mut masked, mut start) = (String::new(), 0);
        for line in self.text(file).split_inclusive('\n') {
            masked.push_str(&shown.masked(line, start));
            start += line.len();
        }
        masked
    }

    /// The parts of a file that messages show.
    pub(crate) fn shown(&self, file: FileId) -> &Shown {
        self.files
            .get(usize::from(file.0))
            .map_or(&Shown::All, |file| &file.shown)
    }

    /// A file's text; empty for an id of other sources.
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(usize::from(file.0)).map_or("", |file| &file.text)
    }

    /// A file's name; empty for an id of other sources.
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(usize::from(file.0)).map_or("", |file| &file.name)
    }
}

/// The bytes of the values of some keys, at any depth.
fn values_of(node: &Node, is_secret: &dyn Fn(&str) -> bool, hidden: &mut Vec<Range<u32>>) {
    if let Data::List(items) = &node.data {
        for item in items {
            values_of(item, is_secret, hidden);
        }
    }
    for entry in node.entries() {
        match is_secret(&entry.key) {
            true => hidden.push(entry.value.span.start..entry.value.span.end),
            false => values_of(&entry.value, is_secret, hidden),
        }
    }
}

/// The bytes of the keys below a node, and of the values that are read. Items of a list have the list's path.
fn reveal<'a>(
    node: &'a Node,
    path: &mut Vec<&'a str>,
    reads: &dyn Fn(&[&str]) -> bool,
    ranges: &mut Vec<Range<u32>>,
) {
    if let Data::List(items) = &node.data {
        for item in items {
            reveal(item, path, reads, ranges);
        }
    }
    for entry in node.entries() {
        ranges.push(entry.key_span.start..entry.key_span.end);
        path.push(&entry.key);
        match reads(path) {
            true => ranges.push(entry.value.span.start..entry.value.span.end),
            false => reveal(&entry.value, path, reads, ranges),
        }
        path.pop();
    }
}
