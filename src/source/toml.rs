//! TOML from parser events, with all errors at once; which table a key belongs to, and whether it
//! may still be extended, is decided in `tables`.

use std::borrow::Cow;

use toml_parser::decoder::ScalarKind;
use toml_parser::parser::{Event, EventKind, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{Expected, ParseError, Source};

use super::text::quoted;
use super::{Data, FileId, MAX_DEPTH, MAX_NODES, Node, Span, number};
use crate::error::Diagnostics;
use tables::{Key, TableId, Tables};

mod tables;
#[cfg(test)]
mod tests;

/// Parses a TOML document; `None` when its syntax cannot be followed to the end.
pub fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut events: Vec<Event> = Vec::with_capacity(tokens.len());
    let mut errors = Vec::new();
    let mut checked = ValidateWhitespace::new(&mut events, source);
    // Deeper nesting than this is not even offered as events.
    let mut guarded = RecursionGuard::new(&mut checked, MAX_DEPTH as u32);
    parse_document(&tokens, &mut guarded, &mut errors);
    drop(tokens);

    let mut builder = Builder {
        file,
        source,
        events: events.iter(),
        errors,
        tables: Tables::new(file, text.len()),
        nodes: 0,
        deep: false,
        diagnostics,
    };
    builder.document();
    let Builder {
        mut errors,
        tables,
        nodes,
        deep,
        ..
    } = builder;
    let broken = deep || !errors.is_empty();
    errors.sort_by_key(|error| error.unexpected().map(|span| span.start()));
    errors.dedup();
    for error in errors {
        report(file, text, &error, diagnostics);
    }
    if nodes + tables.len() > MAX_NODES {
        let message = format!("the document comes to more than {MAX_NODES} values");
        diagnostics.add(Span::new(file, 0, 0), "", message);
        return None;
    }
    if broken { None } else { Some(tables.into_node()) }
}

fn report(file: FileId, text: &str, error: &ParseError, diagnostics: &mut Diagnostics) {
    let mut message = format!("not valid TOML: {}", error.description());
    // What is expected then is one of many things.
    let unquoted = error.description().contains("must be quoted");
    let expected = error.expected().filter(|_| !unquoted).unwrap_or_default();
    for (index, expected) in expected.iter().enumerate() {
        message.push_str(if index == 0 { ", expected " } else { " or " });
        match expected {
            Expected::Literal("\n") => message.push_str("a line end"),
            Expected::Literal(literal) => message.push_str(&quoted(literal)),
            Expected::Description(what) => message.push_str(what),
            _ => message.push_str("something else"),
        }
    }
    let span = error.unexpected().or(error.context());
    let (start, end) = span.map_or((0, 0), |span| (span.start(), span.end()));
    let word = text.get(start..end).unwrap_or_default();
    let diagnostic = diagnostics.add(Span::new(file, start, end), "", message);
    if super::node::boolean_word(word).is_some() {
        diagnostic.hint("TOML has `true` and `false`; other words need quotes");
    }
}

struct Builder<'a, 'd> {
    file: FileId,
    source: Source<'a>,
    events: std::slice::Iter<'d, Event>,
    errors: Vec<ParseError>,
    tables: Tables<'a>,
    nodes: usize,
    /// Nested too deep: what was read is not whole.
    deep: bool,
    diagnostics: &'d mut Diagnostics,
}

impl<'a> Builder<'a, '_> {
    fn document(&mut self) {
        let mut table = Tables::ROOT;
        while let Some(event) = self.events.next() {
            match event.kind() {
                EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                    let array = event.kind() == EventKind::ArrayTableOpen;
                    let mut span = self.span(event);
                    let keys = self.header_keys(&mut span);
                    table = self.tables.header(&keys, array, span, self.diagnostics);
                }
                EventKind::SimpleKey => self.assignment(event, table),
                // Blanks, comments, and what the parser has already complained about.
                _ => {}
            }
        }
    }

    /// The keys up to the closing bracket, to which the span is extended.
    fn header_keys(&mut self, span: &mut Span) -> Vec<Key<'a>> {
        let mut keys = Vec::new();
        for event in self.events.by_ref() {
            match event.kind() {
                EventKind::SimpleKey => keys.push(key(self.file, self.source, event, &mut self.errors)),
                EventKind::StdTableClose | EventKind::ArrayTableClose => {
                    span.end = Span::new(self.file, 0, event.span().end()).end;
                    break;
                }
                EventKind::Newline => break,
                _ => {}
            }
        }
        keys
    }

    /// `a.b = value`, from its first key on.
    fn assignment(&mut self, first: &Event, table: TableId) {
        let mut keys = vec![key(self.file, self.source, first, &mut self.errors)];
        while let Some(event) = self.events.as_slice().first() {
            match event.kind() {
                EventKind::SimpleKey => keys.push(key(self.file, self.source, event, &mut self.errors)),
                EventKind::KeyValSep => {
                    self.events.next();
                    self.tables.enter(&keys);
                    let value = self.value(self.tables.depth(table) + keys.len());
                    self.tables.leave(keys.len());
                    let Some(value) = value else { return };
                    return self.tables.assign(table, keys, value, self.diagnostics);
                }
                EventKind::Newline | EventKind::ValueSep | EventKind::InlineTableClose => return,
                _ => {}
            }
            self.events.next();
        }
    }

    /// The next value, that many levels deep; `None` where the parser found none.
    fn value(&mut self, depth: usize) -> Option<Node> {
        loop {
            // Only looked at: what ends the surroundings must be left to them.
            let event = self.events.as_slice().first()?;
            match event.kind() {
                EventKind::Whitespace | EventKind::Comment => {
                    self.events.next();
                }
                EventKind::Scalar => {
                    self.events.next();
                    return Some(self.scalar(event));
                }
                EventKind::ArrayOpen => {
                    self.events.next();
                    return self.open(event, depth).then(|| self.array(event, depth));
                }
                EventKind::InlineTableOpen => {
                    self.events.next();
                    return self.open(event, depth).then(|| self.inline_table(event, depth));
                }
                _ => return None,
            }
        }
    }

    /// Whether a list or a table may be entered; when not, reading ends.
    fn open(&mut self, event: &Event, depth: usize) -> bool {
        self.nodes += 1;
        if depth >= MAX_DEPTH {
            tables::too_deep(self.span(event), self.diagnostics);
            self.deep = true;
            self.events = [].iter();
        }
        !self.deep
    }

    fn array(&mut self, open: &Event, depth: usize) -> Node {
        let mut span = self.span(open);
        let mut items = Vec::new();
        while let Some(event) = self.events.as_slice().first() {
            let end = self.span(event).end;
            match event.kind() {
                EventKind::Scalar | EventKind::ArrayOpen | EventKind::InlineTableOpen => {
                    self.tables.enter_item(items.len());
                    let value = self.value(depth + 1);
                    self.tables.leave(1);
                    items.extend(value);
                    continue;
                }
                EventKind::ArrayClose => {
                    self.events.next();
                    span.end = end;
                    break;
                }
                _ => {
                    self.events.next();
                }
            }
        }
        Node {
            span,
            data: Data::List(items),
        }
    }

    fn inline_table(&mut self, open: &Event, depth: usize) -> Node {
        let mut span = self.span(open);
        let table = self.tables.inline(span, depth);
        while let Some(event) = self.events.next() {
            match event.kind() {
                EventKind::SimpleKey => self.assignment(event, table),
                EventKind::InlineTableClose => {
                    span.end = self.span(event).end;
                    break;
                }
                _ => {}
            }
        }
        let mut node = self.tables.take(table);
        node.span = span;
        node
    }

    fn scalar(&mut self, event: &Event) -> Node {
        self.nodes += 1;
        let span = self.span(event);
        let Some(raw) = self.source.get(event) else {
            return Node {
                span,
                data: Data::Null,
            };
        };
        // Where a value is missing the parser puts an empty one.
        if raw.is_empty() {
            self.errors
                .push(ParseError::new("a value is missing").with_unexpected(event.span()));
            return Node {
                span,
                data: Data::Null,
            };
        }
        let written = |plain: &str| Data::Text {
            value: plain.to_owned(),
            plain: true,
        };
        if event.encoding().is_none() {
            if let Some(number) = number::decimal(raw.as_str()) {
                return Node {
                    span,
                    data: Data::Integer(number),
                };
            }
            // Refused where a number is due, with the decimal form; TOML's own errors say less.
            if number::form(raw.as_str()).is_some() {
                return Node {
                    span,
                    data: written(raw.as_str()),
                };
            }
        }
        let mut text = Cow::Borrowed("");
        let data = match raw.decode_scalar(&mut text, &mut self.errors) {
            ScalarKind::String => Data::Text {
                value: text.into_owned(),
                plain: false,
            },
            ScalarKind::Boolean(value) => Data::Bool(value),
            ScalarKind::DateTime | ScalarKind::Float | ScalarKind::Integer(_) => written(raw.as_str()),
        };
        Node { span, data }
    }

    fn span(&self, event: &Event) -> Span {
        Span::new(self.file, event.span().start(), event.span().end())
    }
}

fn key<'a>(file: FileId, source: Source<'a>, event: &Event, errors: &mut Vec<ParseError>) -> Key<'a> {
    let mut text = Cow::Borrowed("");
    if let Some(raw) = source.get(event) {
        raw.decode_key(&mut text, errors);
    }
    Key {
        text,
        span: Span::new(file, event.span().start(), event.span().end()),
    }
}
