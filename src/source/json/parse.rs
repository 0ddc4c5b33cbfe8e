//! Strict JSON: each deviation that only relaxed readers accept is reported in its place.

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::errors::ParseError;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::diagnostic::Diagnostics;
use crate::json::relaxed;
use crate::node::path::KeyPath;
use crate::node::read::without_duplicates;
use crate::node::{Data, Entry, Node};
use crate::span::{FileId, Span};
use crate::text::limits::{MAX_DEPTH, MAX_NODES};
use netkeel_core::text::number;

/// Parses a JSON document; `None` when its syntax cannot be followed to the end.
pub fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    if let Some(at) = too_deep(text) {
        let message = format!("nested more than {MAX_DEPTH} levels deep");
        diagnostics.add(Span::new(file, at, at + 1), "", message);
        return None;
    }
    match parse_to_ast(text, &CollectOptions::default(), &strict()) {
        Ok(result) => build(file, text, result.value, diagnostics),
        Err(error) => {
            // The relaxed reading is slower, but it finds all deviations.
            if !relaxed::report(file, text, diagnostics) {
                syntax(file, text, &error, diagnostics);
            }
            None
        }
    }
}

/// Parses a text that may be JSON; the outer `None` when it is not.
pub(crate) fn parse_if_json(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Option<Node>> {
    if too_deep(text).is_some() {
        return None;
    }
    let result = parse_to_ast(text, &CollectOptions::default(), &strict()).ok()?;
    Some(build(file, text, result.value, diagnostics))
}

fn build(file: FileId, text: &str, value: Option<Value<'_>>, diagnostics: &mut Diagnostics) -> Option<Node> {
    if let Some(span) = foreign_blank(file, text) {
        diagnostics.add(span, "", "a blank that is not ASCII outside of quotes");
    }
    if let Some(at) = control_character(text) {
        let message = "an unescaped control character in quotes";
        diagnostics.add(Span::new(file, at, at + 1), "", message);
    }
    let mut builder = Builder {
        file,
        diagnostics,
        nodes: 0,
    };
    match value {
        Some(value) => builder.node(value, &KeyPath::ROOT),
        None => Some(Node {
            span: Span::new(file, 0, 0),
            data: Data::Null,
        }),
    }
}

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// The position where the nesting is too deep; the library's recursion has no limit.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in outside_of_quotes(text) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some(at);
        }
    }
    None
}

/// The library accepts any Unicode blank; JSON does not.
fn foreign_blank(file: FileId, text: &str) -> Option<Span> {
    if text.is_ascii() {
        return None;
    }
    let (at, _) = outside_of_quotes(text).find(|(_, byte)| !byte.is_ascii())?;
    let blank = text.get(at..).and_then(|rest| rest.chars().next())?;
    Some(Span::new(file, at, at + blank.len_utf8()))
}

/// The library accepts any character in quotes; JSON forbids control characters (RFC 8259, 7).
fn control_character(text: &str) -> Option<usize> {
    let (mut inside, mut escaped) = (false, false);
    text.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            byte < 0x20
        }
        b'\\' if inside => {
            escaped = true;
            false
        }
        b'"' => {
            inside = !inside;
            false
        }
        _ => inside && byte < 0x20,
    })
}

fn outside_of_quotes(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut inside, mut escaped) = (false, false);
    text.bytes().enumerate().filter(move |(_, byte)| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => {
                inside = !inside;
                return false;
            }
            _ => {}
        }
        !inside
    })
}

fn syntax(file: FileId, text: &str, error: &ParseError, diagnostics: &mut Diagnostics) {
    let range = error.range();
    let (start, end) = (range.start.min(text.len()), range.end.min(text.len()));
    let (before, behind) = text.split_at_checked(start).unwrap_or((text, ""));
    let digit = |char: char| char.is_ascii_digit();
    // The library reads `01` as two numbers.
    if before.ends_with('0') && behind.starts_with(digit) {
        let span = Span::new(
            file,
            start - 1,
            start + behind.find(|char| !digit(char)).unwrap_or(behind.len()),
        );
        diagnostics.add(span, "", "a number with a leading zero");
        return;
    }
    let mut reason = error.kind().to_string();
    if let Some(first) = reason.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    diagnostics.add(
        Span::new(file, start, end),
        "",
        format!("not valid JSON: {reason}"),
    );
}

struct Builder<'a> {
    file: FileId,
    diagnostics: &'a mut Diagnostics,
    nodes: usize,
}

impl Builder<'_> {
    fn span(&self, range: Range) -> Span {
        Span::new(self.file, range.start, range.end)
    }

    fn node(&mut self, value: Value<'_>, path: &KeyPath<'_>) -> Option<Node> {
        let span = self.span(value.range());
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("the document has more than {MAX_NODES} values");
            self.diagnostics.add(span, path, message);
            return None;
        }
        let data = match value {
            Value::NullKeyword(_) => Data::Null,
            Value::BooleanLit(literal) => Data::Bool(literal.value),
            Value::NumberLit(literal) => match number::decimal(literal.value) {
                Some(value) => Data::Integer(value),
                None => Data::Text {
                    value: literal.value.to_owned(),
                    plain: true,
                },
            },
            Value::StringLit(literal) => Data::Text {
                value: literal.value.into_owned(),
                plain: false,
            },
            Value::Array(array) => {
                let mut items = Vec::with_capacity(array.elements.len());
                for element in array.elements {
                    items.push(self.node(element, &path.index(items.len()))?);
                }
                Data::List(items)
            }
            Value::Object(object) => {
                let mut entries = Vec::with_capacity(object.properties.len());
                for property in object.properties {
                    let key_span = self.span(property.name.range());
                    let key = match property.name {
                        ObjectPropName::String(literal) => literal.value.into_owned(),
                        ObjectPropName::Word(word) => word.value.to_owned(),
                    };
                    let value = self.node(property.value, &path.key(&key))?;
                    entries.push(Entry { key, key_span, value });
                }
                Data::Map(without_duplicates(entries, path, self.diagnostics))
            }
        };
        Some(Node { span, data })
    }
}
