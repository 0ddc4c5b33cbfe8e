//! Strict JSON: what only relaxed readers take is refused, each instance in its place.

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::errors::ParseError;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

use super::node::without_duplicates;
use super::{Data, Entry, FileId, MAX_DEPTH, MAX_NODES, Node, Path, Span, number};
use crate::error::Diagnostics;

mod relaxed;

/// Parses a JSON document; `None` when its syntax cannot be followed to the end.
pub fn parse(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    if !nests_well(file, text, diagnostics) {
        return None;
    }
    match parse_to_ast(text, &CollectOptions::default(), &strict()) {
        Ok(result) => {
            let mut builder = Builder {
                file,
                diagnostics,
                nodes: 0,
            };
            match result.value {
                Some(value) => builder.node(value, &Path::ROOT),
                None => Some(Node {
                    span: Span::new(file, 0, 0),
                    data: Data::Null,
                }),
            }
        }
        Err(error) => {
            // Slower, but it finds all that is only too relaxed.
            let before = diagnostics.count();
            relaxed::report(file, text, diagnostics);
            if diagnostics.count() == before {
                syntax(file, text, &error, diagnostics);
            }
            None
        }
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

/// The parser recurses, so depth is looked at first: brackets outside of strings.
fn nests_well(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} levels deep");
            diagnostics.add(Span::new(file, at, at + 1), "", message);
            return false;
        }
    }
    true
}

fn syntax(file: FileId, text: &str, error: &ParseError, diagnostics: &mut Diagnostics) {
    let range = error.range();
    let mut reason = error.kind().to_string();
    if let Some(first) = reason.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let start = range.start.min(text.len());
    diagnostics.add(
        Span::new(file, start, range.end.min(text.len())),
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

    fn node(&mut self, value: Value<'_>, path: &Path<'_>) -> Option<Node> {
        let span = self.span(value.range());
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("the document comes to more than {MAX_NODES} values");
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
