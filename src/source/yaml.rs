//! YAML 1.2, core schema, one document a file, from parser events. What readers of YAML disagree
//! on stays text as it was written, so that the check can say what is meant.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::node::without_duplicates;
use super::text::quoted;
use super::{Data, Entry, FileId, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, Path, Span, number};
use crate::error::Diagnostics;

mod explain;

/// Parses a YAML document; `None` when its syntax cannot be followed to the end.
pub fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        file,
        text,
        offsets: Offsets::new(text),
        diagnostics,
        anchors: BTreeMap::new(),
        nodes: 0,
        copied: 0,
    };
    builder.stream().ok()
}

/// The text cannot be followed further; a diagnostic says why.
struct Stop;

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: FileId,
    text: &'a str,
    offsets: Offsets<'a>,
    diagnostics: &'a mut Diagnostics,
    /// By the parser's number; `None` while the anchored node is still being read.
    anchors: BTreeMap<usize, Option<Anchored>>,
    /// Nodes so far, copies included.
    nodes: usize,
    /// Bytes of text copied for aliases so far.
    copied: usize,
}

/// A node that aliases can name, and what a copy of it costs.
struct Anchored {
    node: Node,
    size: Size,
}

impl<'a> Builder<'a> {
    fn stream(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    let at = self.at_word(span);
                    self.diagnostics
                        .add(at, "", "a second YAML document in one file")
                        .hint("put it into a file of its own: several files are layered");
                    return Err(Stop);
                }
                Event::DocumentStart(_) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, &Path::ROOT, 0)?);
                }
                _ => {}
            }
        }
        let start = Span::new(self.file, 0, 0);
        Ok(root.unwrap_or(Node {
            span: start,
            data: Data::Null,
        }))
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

    /// The span, or when it is empty the word that stands there.
    fn at_word(&self, span: Span) -> Span {
        if span.end > span.start {
            return span;
        }
        let start = span.start as usize;
        let rest = self.text.get(start..).unwrap_or_default();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        Span::new(self.file, start, start + end)
    }

    fn syntax(&mut self, error: &ScanError) {
        let start = self.offset(*error.marker());
        let span = self.at_word(Span::new(self.file, start, start));
        let before = self.text.get(..start).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self
            .text
            .get(line..)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let (message, hint) = explain::explain(error.info(), line);
        let diagnostic = self.diagnostics.add(span, "", message);
        diagnostic.hints.extend(hint.map(str::to_owned));
    }

    fn node(&mut self, event: Event<'a>, span: Span, path: &Path<'_>, depth: usize) -> Result<Node, Stop> {
        self.count(1, span, path)?;
        match event {
            Event::Alias(id) => self.alias(id, span, path, depth),
            Event::Scalar(value, style, anchor, tag) => {
                let data = self.scalar(value, style, tag.as_deref(), span, path);
                self.anchored(anchor, Node { span, data }, path)
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", "a list", span, path);
                self.open(anchor, span, path, depth)?;
                let node = self.list(span, path, depth)?;
                self.anchored(anchor, node, path)
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", "a map", span, path);
                self.open(anchor, span, path, depth)?;
                let node = self.map(span, path, depth)?;
                self.anchored(anchor, node, path)
            }
            // The parser does not put these where a node is due; nothing is the harmless reading.
            _ => Ok(Node {
                span,
                data: Data::Null,
            }),
        }
    }

    /// What is due before the children of a list or a map are read.
    fn open(&mut self, anchor: usize, span: Span, path: &Path<'_>, depth: usize) -> Result<(), Stop> {
        if anchor > 0 {
            self.anchors.insert(anchor, None);
        }
        self.nest(depth + 1, span, path)
    }

    fn list(&mut self, start: Span, path: &Path<'_>, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if let Event::SequenceEnd = event {
                let last = items.last().map(|node: &Node| node.span);
                return Ok(Node {
                    span: whole(start, last, span),
                    data: Data::List(items),
                });
            }
            items.push(self.node(event, span, &path.index(items.len()), depth + 1)?);
        }
    }

    fn map(&mut self, start: Span, path: &Path<'_>, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if let Event::MappingEnd = event {
                let last = entries.last().map(|entry| entry.value.span);
                let entries = without_duplicates(entries, path, self.diagnostics);
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

    /// A key's text, whatever scalar it is; `None` for what cannot be a key, which is reported.
    fn key(
        &mut self,
        event: Event<'a>,
        span: Span,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<Option<Cow<'a, str>>, Stop> {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if plain && value == "<<" {
                    self.diagnostics
                        .add(span, path, "merge keys (`<<`) are not taken")
                        .hint("name the whole value by an alias, or lay a second file over this one");
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

    fn alias(&mut self, id: usize, span: Span, path: &Path<'_>, depth: usize) -> Result<Node, Stop> {
        let Some(Some(anchored)) = self.anchors.get(&id) else {
            self.diagnostics
                .add(span, path, "an alias inside of what it names");
            return Err(Stop);
        };
        // The cost is known before the copy is made.
        let size = anchored.size;
        self.nest(depth + size.depth, span, path)?;
        self.count(size.nodes, span, path)?;
        self.copied = self.copied.saturating_add(size.bytes);
        if self.copied > MAX_BYTES {
            self.diagnostics.add(
                span,
                path,
                format!("aliases expand to more than {} MiB of text", MAX_BYTES >> 20),
            );
            return Err(Stop);
        }
        match self.anchors.get(&id) {
            // Below the top the spans are of the anchored text: that is where an error is put right.
            Some(Some(anchored)) => Ok(Node {
                span,
                data: anchored.node.data.clone(),
            }),
            _ => Err(Stop),
        }
    }

    /// Keeps a node for the aliases that name it.
    fn anchored(&mut self, anchor: usize, node: Node, path: &Path<'_>) -> Result<Node, Stop> {
        if anchor > 0 {
            let size = Size::of(&node);
            self.count(size.nodes, node.span, path)?;
            let copy = Anchored {
                node: node.clone(),
                size,
            };
            self.anchors.insert(anchor, Some(copy));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: Span, path: &Path<'_>) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("the document comes to more than {MAX_NODES} values, aliases expanded");
        self.diagnostics.add(span, path, message);
        Err(Stop)
    }

    fn nest(&mut self, depth: usize, span: Span, path: &Path<'_>) -> Result<(), Stop> {
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        self.diagnostics
            .add(span, path, format!("nested more than {MAX_DEPTH} levels deep"));
        Err(Stop)
    }

    fn scalar(
        &mut self,
        value: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
        path: &Path<'_>,
    ) -> Data {
        let plain = style == ScalarStyle::Plain;
        let Some(tag) = tag else {
            return if plain { resolve(value) } else { text(value, false) };
        };
        let core = tag.is_yaml_core_schema().then_some(tag.suffix.as_str());
        let data = match core {
            Some("str") => return text(value, false),
            Some("int" | "bool" | "null") => resolve(value.clone()),
            _ => {
                self.unknown_tag(tag, span, path);
                return if plain { resolve(value) } else { text(value, false) };
            }
        };
        let fits = match core {
            Some("int") => matches!(data, Data::Integer(_)),
            Some("bool") => matches!(data, Data::Bool(_)),
            _ => matches!(data, Data::Null),
        };
        if !fits {
            let message = format!("{} is not what its tag `!!{}` says", quoted(&value), tag.suffix);
            self.diagnostics.add(span, path, message);
        }
        data
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, due: &str, what: &str, span: Span, path: &Path<'_>) {
        let Some(tag) = tag else { return };
        if !tag.is_yaml_core_schema() || !["map", "seq", "str", "int", "bool", "null"].contains(&&*tag.suffix)
        {
            self.unknown_tag(tag, span, path);
        } else if tag.suffix != due {
            let message = format!("{what} is not what its tag `!!{}` says", tag.suffix);
            self.diagnostics.add(span, path, message);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, span: Span, path: &Path<'_>) {
        let name = if tag.is_yaml_core_schema() {
            format!("!!{}", tag.suffix)
        } else {
            format!("{}{}", tag.handle, tag.suffix)
        };
        self.diagnostics
            .add(span, path, format!("the tag {} is not taken", quoted(&name)))
            .hint("text that begins with `!` needs quotes");
    }
}

/// A plain scalar by the core schema; of the numbers only decimal integers.
fn resolve(value: Cow<'_, str>) -> Data {
    match &*value {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        word => match number::decimal(word) {
            Some(number) => Data::Integer(number),
            None => text(value, true),
        },
    }
}

fn text(value: Cow<'_, str>, plain: bool) -> Data {
    Data::Text {
        value: value.into_owned(),
        plain,
    }
}

/// From the first token to the closing bracket, or in block style to the last child.
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

/// What a copy of a node costs.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    fn of(node: &Node) -> Size {
        let mut size = Size {
            nodes: 1,
            ..Size::default()
        };
        match &node.data {
            Data::Text { value, .. } => size.bytes = value.len(),
            Data::List(items) => items.iter().for_each(|item| size.holds(Size::of(item))),
            Data::Map(entries) => entries.iter().for_each(|entry| {
                size.bytes += entry.key.len();
                size.holds(Size::of(&entry.value));
            }),
            Data::Null | Data::Bool(_) | Data::Integer(_) => {}
        }
        if matches!(node.data, Data::List(_) | Data::Map(_)) {
            size.depth += 1;
        }
        size
    }

    fn holds(&mut self, child: Size) {
        self.nodes += child.nodes;
        self.bytes += child.bytes;
        self.depth = self.depth.max(child.depth);
    }
}

/// The parser counts characters, spans count bytes.
struct Offsets<'a> {
    text: &'a str,
    /// The byte of every 64th character; empty for ASCII, where the two are the same.
    known: Vec<u32>,
}

impl<'a> Offsets<'a> {
    const STEP: usize = 64;

    fn new(text: &'a str) -> Self {
        let bytes = text.char_indices().step_by(Self::STEP).map(|(at, _)| at);
        let known = if text.is_ascii() {
            Vec::new()
        } else {
            bytes.filter_map(|at| u32::try_from(at).ok()).collect()
        };
        Offsets { text, known }
    }

    fn byte(&self, char: usize) -> usize {
        if self.known.is_empty() {
            return char.min(self.text.len());
        }
        let Some(base) = self.known.get(char / Self::STEP) else {
            return self.text.len();
        };
        let base = *base as usize;
        let rest = self.text.get(base..).unwrap_or_default();
        rest.char_indices()
            .nth(char % Self::STEP)
            .map_or(self.text.len(), |(at, _)| base + at)
    }
}
