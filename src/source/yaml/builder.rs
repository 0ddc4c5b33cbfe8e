//! Builds nodes from parser events: YAML 1.2, core schema, one document per file. Scalars that YAML
//! parsers disagree on stay text as written, so that the check can report what they may mean.

use std::borrow::Cow;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use crate::diagnostic::Diagnostics;
use crate::json::parse;
use crate::node::path::KeyPath;
use crate::node::read::without_duplicates;
use crate::node::{Data, Entry, Node};
use crate::span::{FileId, Span};
use crate::yaml::anchor::{Anchors, Exceeded};
use crate::yaml::offsets::Offsets;
use crate::yaml::{explain, flow};

/// Parses a YAML document; `None` when its syntax cannot be followed to the end.
pub(crate) fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    stream(file, text, false, diagnostics)?.pop()
}

/// Parses a file with any number of YAML documents; empty documents are omitted.
pub(crate) fn parse_all(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Vec<Node>> {
    let mut documents = stream(file, text, true, diagnostics)?;
    documents.retain(|document| !document.is_null());
    Some(documents)
}

/// At least one document, which may be `null`; without `many` at most one.
fn stream(file: FileId, text: &str, many: bool, diagnostics: &mut Diagnostics) -> Option<Vec<Node>> {
    if let Some(start) = flow::too_large(text) {
        // JSON is read by the JSON parser, because the YAML parser needs much more memory.
        let node = parse::parse_if_json(file, text, diagnostics).unwrap_or_else(|| {
            let message = format!(
                "a map or list in brackets has more than {} MiB",
                flow::MAX_FLOW >> 20
            );
            diagnostics
                .add(Span::new(file, start, start + 1), "", message)
                .hint("write it in block style, or as strict JSON");
            None
        });
        return Some(vec![node?]);
    }
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        file,
        text,
        offsets: Offsets::new(text),
        diagnostics,
        anchors: Anchors::default(),
    };
    builder.stream(many).ok()
}

/// The maximum length of a marked word at a syntax error.
const MAX_WORD: usize = 24;

/// The text cannot be followed further; a diagnostic says why.
struct Stop;

impl From<Exceeded> for Stop {
    fn from(_: Exceeded) -> Self {
        Stop
    }
}

pub(crate) struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: FileId,
    text: &'a str,
    offsets: Offsets<'a>,
    pub(crate) diagnostics: &'a mut Diagnostics,
    anchors: Anchors,
}

impl<'a> Builder<'a> {
    fn stream(&mut self, many: bool) -> Result<Vec<Node>, Stop> {
        let mut roots = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if !many && !roots.is_empty() => {
                    let at = self.at_word(span);
                    self.diagnostics
                        .add(at, "", "a second YAML document in one file")
                        .hint("put it into a file of its own: several files are layered");
                    return Err(Stop);
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    roots.push(self.node(event, span, &KeyPath::ROOT, 0)?);
                }
                _ => {}
            }
        }
        if roots.is_empty() {
            roots.push(Node {
                span: Span::new(self.file, 0, 0),
                data: Data::Null,
            });
        }
        Ok(roots)
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = Span::new(self.file, self.offset(span.start), self.offset(span.end));
                Ok((event, span))
            }
            Some(Err(error)) => {
                self.syntax(&error);
                Err(Stop)
            }
            None => Ok((
                Event::StreamEnd,
                Span::new(self.file, self.text.len(), self.text.len()),
            )),
        }
    }

    fn offset(&mut self, marker: Marker) -> usize {
        self.offsets.byte(marker.index())
    }

    /// The span; if it is empty, the word at its place, or the beginning of that word.
    fn at_word(&self, span: Span) -> Span {
        if span.end > span.start {
            return span;
        }
        let start = span.start as usize;
        let rest = self.text.get(start..).unwrap_or_default();
        let word = rest
            .chars()
            .take(MAX_WORD)
            .take_while(|char| !char.is_whitespace());
        Span::new(self.file, start, start + word.map(char::len_utf8).sum::<usize>())
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = self.offset(*error.marker());
        let trouble = explain::explain(error.info(), self.text, at);
        let span = self.at_word(Span::new(self.file, trouble.at, trouble.at));
        let diagnostic = self.diagnostics.add(span, "", trouble.message);
        diagnostic.hints.extend(trouble.hint.map(str::to_owned));
    }

    fn node(&mut self, event: Event<'a>, span: Span, path: &KeyPath<'_>, depth: usize) -> Result<Node, Stop> {
        self.anchors.count(1, span, path, self.diagnostics)?;
        match event {
            Event::Alias(id) => Ok(self.anchors.alias(id, span, path, depth, self.diagnostics)?),
            Event::Scalar(value, style, anchor, tag) => {
                let data = self.scalar(value, style, tag.as_deref(), span, path);
                self.anchored(anchor, Node { span, data }, path)
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", "a list", span, path);
                self.anchors.open(anchor, span, path, depth, self.diagnostics)?;
                let node = self.list(span, path, depth)?;
                self.anchored(anchor, node, path)
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", "a map", span, path);
                self.anchors.open(anchor, span, path, depth, self.diagnostics)?;
                let node = self.map(span, path, depth)?;
                self.anchored(anchor, node, path)
            }
            // The parser does not emit other events where a node is expected; `null` is harmless.
            _ => Ok(Node {
                span,
                data: Data::Null,
            }),
        }
    }

    /// Keeps a node with an anchor for its aliases.
    fn anchored(&mut self, anchor: usize, node: Node, path: &KeyPath<'_>) -> Result<Node, Stop> {
        self.anchors.keep(anchor, &node, path, self.diagnostics)?;
        Ok(node)
    }

    fn list(&mut self, start: Span, path: &KeyPath<'_>, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if let Event::SequenceEnd = event {
                let last = items.last().map(|node: &Node| node.span);
                // A list of one item has capacity for four, which adds up.
                items.shrink_to_fit();
                return Ok(Node {
                    span: whole(start, last, span),
                    data: Data::List(items),
                });
            }
            items.push(self.node(event, span, &path.index(items.len()), depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, path: &KeyPath<'_>, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if let Event::MappingEnd = event {
                let last = entries.last().map(|entry| entry.value.span);
                let mut entries = without_duplicates(entries, path, self.diagnostics);
                entries.shrink_to_fit();
                return Ok(Node {
                    span: whole(start, last, span),
                    data: Data::Map(entries),
                });
            }
            let key = self.key(event, span, path, depth)?;
            let (event, value_span) = self.next()?;
            let below = path.key(key.as_deref().unwrap_or("?"));
            let value = self.node(event, value_span, &below, depth + 1)?;
            if let Some(key) = key {
                let key = key.into_owned();
                entries.push(Entry {
                    key,
                    key_span: span,
                    value,
                });
            }
        }
    }

    /// A key's text from any scalar; `None`, with a diagnostic, for a value that cannot be a key.
    fn key(
        &mut self,
        event: Event<'a>,
        span: Span,
        path: &KeyPath<'_>,
        depth: usize,
    ) -> Result<Option<Cow<'a, str>>, Stop> {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if plain && value == "<<" {
                    self.diagnostics
                        .add(span, path, "merge keys (`<<`) are not supported")
                        .hint("use an alias for the whole value, or set the keys in a second file");
                    return Ok(None);
                }
                if plain && value.is_empty() {
                    self.diagnostics
                        .add(span, path, "a key is missing before the colon");
                    return Ok(None);
                }
                let data = self.scalar(
                    value.clone(),
                    ScalarStyle::DoubleQuoted,
                    tag.as_deref(),
                    span,
                    path,
                );
                self.anchored(anchor, Node { span, data }, path)?;
                Ok(Some(value))
            }
            Event::Alias(_) => {
                self.diagnostics.add(span, path, "an alias cannot be a key");
                Ok(None)
            }
            event => {
                let what = if matches!(event, Event::SequenceStart(..)) {
                    "a list"
                } else {
                    "a map"
                };
                let diagnostic = self
                    .diagnostics
                    .add(span, path, format!("{what} cannot be a key"));
                if what == "a map" {
                    diagnostic.hint("a template such as `{{ name }}` needs quotes in YAML");
                }
                self.node(event, span, path, depth + 1)?;
                Ok(None)
            }
        }
    }
}

/// From the first token to the closing bracket; in block style to the last child.
fn whole(start: Span, last: Option<Span>, end: Span) -> Span {
    let end = match last {
        _ if end.end > end.start => end.end,
        Some(last) => last.end,
        None => start.end,
    };
    Span {
        end: end.max(start.end),
        ..start
    }
}
