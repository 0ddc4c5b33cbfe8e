//! Validates a tree against its shape and reports all errors in the user's terms.

pub(crate) mod required;
#[cfg(test)]
mod tests;
mod wording;

use crate::check::required::missing;
use crate::check::wording::{due, range, takes, takes_text};
use crate::shape::{Field, Shape};
use netkeel_core::error::Error;
use netkeel_core::text::escape::quoted;
use netkeel_core::text::number::{Form, form};
use netkeel_core::text::suggest::{listed, nearest, suggest};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::span::Span;

/// Checks a whole document: all values, and that required keys are present.
pub(crate) fn check(node: &Node, shape: &Shape, path: &KeyPath<'_>, diagnostics: &mut Diagnostics) {
    Checker {
        required: true,
        diagnostics,
    }
    .node(node, shape, path);
}

/// Checks one layer of a document: all values. A required key may be in another layer.
pub(crate) fn check_layer(node: &Node, shape: &Shape, path: &KeyPath<'_>, diagnostics: &mut Diagnostics) {
    Checker {
        required: false,
        diagnostics,
    }
    .node(node, shape, path);
}

struct Checker<'a> {
    required: bool,
    diagnostics: &'a mut Diagnostics,
}

impl Checker<'_> {
    fn node(&mut self, node: &Node, shape: &Shape, path: &KeyPath<'_>) {
        match (shape, &node.data) {
            (Shape::Map(fields), Data::Map(entries)) => self.map(node, fields, entries, path),
            (Shape::Table { key, value, .. }, Data::Map(entries)) => {
                for entry in entries {
                    let below = path.key(&entry.key);
                    let component = !entry.key.contains(['.', '/']);
                    if let (Shape::Vector, true, Some(whole)) = (value, component, taken_apart(entry)) {
                        self.diagnostics
                            .add(entry.key_span, below, "a sysctl is one key, but this one is split at its dots")
                            .hint(format!("write it whole: {whole}; in TOML, where a dot makes a table, in quotes: \"{whole}\""));
                        continue;
                    }
                    if let Err(error) = key(&entry.key) {
                        self.error(entry.key_span, &below, error);
                    }
                    self.value(&entry.value, value, &below);
                }
            }
            (Shape::List(shape), Data::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.node(item, shape, &path.index(index));
                }
            }
            (Shape::Integer { min, max, unit }, _) => self.integer(node, *min, *max, unit, path),
            (Shape::Switch, _) => {
                if node.switch().is_none() {
                    self.switch(node, path);
                }
            }
            (Shape::Choice(words), _) => {
                if node.choice(words).is_none() {
                    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                    self.word(node, shape, &words, path);
                }
            }
            (Shape::Word(words), _) => {
                if !node.text().is_some_and(|text| words.contains(&text)) {
                    self.word(node, shape, words, path);
                }
            }
            (Shape::Text { check, .. }, Data::Text { value, .. }) => {
                if let Err(error) = check(value) {
                    self.error(node.span, path, error);
                }
            }
            (Shape::Vector, _) => self.vector(node, path),
            (Shape::Either(shapes), _) => self.either(node, shape, shapes, path),
            _ => {
                self.mismatch(node, shape, path);
            }
        }
    }

    /// Checks the value of a key; `null` means that it is not given.
    fn value(&mut self, node: &Node, shape: &Shape, path: &KeyPath<'_>) {
        if !node.is_null() {
            self.node(node, shape, path);
        }
    }

    fn map(&mut self, node: &Node, fields: &[Field], entries: &[Entry], path: &KeyPath<'_>) {
        for entry in entries {
            let below = path.key(&entry.key);
            if let Some(field) = fields.iter().find(|field| field.name == entry.key) {
                self.value(&entry.value, &field.shape, &below);
                continue;
            }
            let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
            let message = format!("unknown key {}", quoted(&entry.key));
            let diagnostic = self.diagnostics.add(entry.key_span, below, message);
            diagnostic.hints.extend(suggest(&entry.key, &known));
        }
        if self.required {
            missing(node, fields, path, self.diagnostics);
        }
    }

    fn integer(&mut self, node: &Node, min: i64, max: i64, unit: &str, path: &KeyPath<'_>) {
        let shape = Shape::Integer { min, max, unit: "" };
        if let Some(value) = node.integer() {
            if value < min || value > max {
                let unit = if unit.is_empty() {
                    String::new()
                } else {
                    format!(" {unit}")
                };
                let message = format!("{value} is out of range: {}{unit}", range(min, max));
                self.diagnostics.add(node.span, path, message);
            }
        } else if !node.text().is_some_and(|text| self.number_form(node, text, path)) {
            self.mismatch(node, &shape, path);
        }
    }

    /// Reports a number that is not a plain decimal integer.
    fn number_form(&mut self, node: &Node, value: &str, path: &KeyPath<'_>) -> bool {
        match form(value) {
            Some(Form::Other { what, meant }) => {
                let message = format!("{} is {what}; only decimal integers are taken", quoted(value));
                let diagnostic = self.diagnostics.add(node.span, path, message);
                if let [one] = meant.as_slice() {
                    diagnostic.hint(format!("write {one}"));
                } else if !meant.is_empty() {
                    // Octal in YAML 1.1, decimal in YAML 1.2.
                    diagnostic.hint(format!("write {}, whichever is meant", meant.join(" or ")));
                }
                true
            }
            Some(Form::TooLarge) => {
                let message = format!("the number {value} is too large");
                self.diagnostics.add(node.span, path, message);
                true
            }
            Some(Form::Decimal(_)) | None => false,
        }
    }

    fn switch(&mut self, node: &Node, path: &KeyPath<'_>) {
        let meant = match node.integer() {
            Some(0) => Some("write `false`"),
            Some(1) => Some("write `true`"),
            _ => None,
        };
        let diagnostic = self.mismatch(node, &Shape::Switch, path);
        diagnostic.hints.extend(meant.map(str::to_owned));
    }

    fn word(&mut self, node: &Node, shape: &Shape, words: &[&str], path: &KeyPath<'_>) {
        let Data::Text { value, .. } = &node.data else {
            self.mismatch(node, shape, path);
            return;
        };
        if value.is_empty() {
            self.mismatch(node, shape, path);
            return;
        }
        let message = format!("{} is not one of {}", quoted(value), listed(words));
        let diagnostic = self.diagnostics.add(node.span, path, message);
        let near = nearest(value, words.iter().copied());
        diagnostic
            .hints
            .extend(near.map(|near| format!("did you mean {}?", quoted(near))));
    }

    fn vector(&mut self, node: &Node, path: &KeyPath<'_>) {
        if matches!(node.data, Data::Null | Data::Map(_)) || node.items().is_empty() {
            self.mismatch(node, &Shape::Vector, path);
            return;
        }
        let list = matches!(node.data, Data::List(_));
        for (index, item) in node.items().iter().enumerate() {
            let below = path.index(index);
            let below = if list { &below } else { path };
            match &item.data {
                Data::Bool(_) | Data::Integer(_) => {}
                Data::Text { value, .. } if value.contains(['\n', '\r']) => {
                    self.diagnostics
                        .add(item.span, below, "a kernel setting is one line");
                }
                Data::Text { value, plain } => {
                    for word in value.split_ascii_whitespace() {
                        if is_ambiguous(word, *plain) {
                            self.number_form(item, word, below);
                        }
                    }
                }
                Data::Null | Data::List(_) | Data::Map(_) => {
                    self.expected("a number or text", item, below);
                }
            }
        }
    }

    fn either(&mut self, node: &Node, shape: &Shape, shapes: &[Shape], path: &KeyPath<'_>) {
        let fitting: Vec<&Shape> = shapes.iter().filter(|shape| takes(shape, node)).collect();
        if let [only] = fitting.as_slice() {
            return self.node(node, only, path);
        }
        // Several shapes accept a scalar: it is valid if one of them reports nothing.
        let passes = |shape: &&&Shape| {
            let mut trial = Diagnostics::default();
            check(node, shape, path, &mut trial);
            trial.is_empty()
        };
        if fitting.iter().any(|shape| passes(&shape)) {
            return;
        }
        // For a number in a wrong form or range, the integer shape has the more useful report.
        let number = node.scalar().is_some_and(|text| form(&text).is_some());
        match fitting
            .iter()
            .find(|shape| matches!(shape, Shape::Integer { .. }))
        {
            Some(integer) if number => self.node(node, integer, path),
            _ => {
                self.mismatch(node, shape, path);
            }
        }
    }

    fn mismatch(
        &mut self,
        node: &Node,
        shape: &Shape,
        path: &KeyPath<'_>,
    ) -> &mut netkeel_source::diagnostic::Diagnostic {
        let written = node.scalar().filter(|text| takes_text(shape, text));
        let written = written.filter(|_| matches!(node.data, Data::Bool(_) | Data::Integer(_)));
        let diagnostic = self.expected(&due(shape), node, path);
        if let Some(written) = written {
            diagnostic.hint(format!("write \"{written}\" if text is meant"));
        } else if let (Shape::Map(_) | Shape::Table { .. }, Data::Text { value, plain: true }) =
            (shape, &node.data)
            && value.contains(':')
        {
            diagnostic.hint("write `key: value`, with a blank after the colon");
        } else if let (Some(fields), Some(number)) = (fields_of(shape), node.integer())
            && fields.iter().any(|field| field.name == "mtu")
        {
            // A plugin of a CNI configuration is named, since the key is a label.
            let plugin = fields
                .iter()
                .find(|field| field.required && field.name == "plugin");
            let plugin = plugin.map_or("", |_| "plugin: TYPE, ");
            diagnostic.hint(format!("write {{ {plugin}mtu: {number} }} if its MTU is meant"));
        } else if let (Shape::List(_), Some(one)) = (shape, node.scalar()) {
            diagnostic.hint(format!("a list of one is [{one}]"));
        }
        diagnostic
    }

    fn expected(
        &mut self,
        due: &str,
        node: &Node,
        path: &KeyPath<'_>,
    ) -> &mut netkeel_source::diagnostic::Diagnostic {
        let message = format!("expected {due}, found {}", node.describe());
        self.diagnostics.add(node.span, path, message)
    }

    fn error(&mut self, span: Span, path: &KeyPath<'_>, error: Error) {
        self.diagnostics.add(span, path, error.message).hints = error.hints;
    }
}

/// The keys of a map, if the shape is one or may be one.
fn fields_of(shape: &Shape) -> Option<&'static [Field]> {
    match shape {
        Shape::Map(fields) => Some(fields),
        Shape::Either(shapes) => shapes.iter().find_map(fields_of),
        _ => None,
    }
}

/// The dotted key that nested maps spell, by the first key at each level.
fn taken_apart(entry: &Entry) -> Option<String> {
    let first = entry.value.entries().first()?;
    let rest = taken_apart(first).unwrap_or_else(|| first.key.clone());
    Some(format!("{}.{rest}", entry.key))
}

/// Whether YAML parsers disagree on an unquoted number. A quoted one is taken literally, as the bit
/// mask `"00000010"`. The kernel parses a text with 0x as a number and shows it in decimal.
fn is_ambiguous(word: &str, plain: bool) -> bool {
    let hexadecimal = word
        .trim_start_matches(['-', '+'])
        .to_ascii_lowercase()
        .starts_with("0x");
    (plain || hexadecimal) && matches!(form(word), Some(Form::Other { .. }))
}
