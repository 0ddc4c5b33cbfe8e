//! Scalars and tags by the core schema. Only decimal integers become numbers.

use std::borrow::Cow;

use saphyr_parser::{ScalarStyle, Tag};

use crate::node::Data;
use crate::node::path::KeyPath;
use crate::span::Span;
use crate::text::secret;
use crate::yaml::builder::Builder;
use netkeel_core::text::escape::quoted;
use netkeel_core::text::number;

impl<'a> Builder<'a> {
    pub fn scalar(
        &mut self,
        value: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
        path: &KeyPath<'_>,
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
            // Without the value, which may be a password of another program.
            let message = format!("the value does not match its tag `!!{}`", tag.suffix);
            self.diagnostics.add(span, path, message);
        }
        data
    }

    pub(crate) fn collection_tag(
        &mut self,
        tag: Option<&Tag>,
        due: &str,
        what: &str,
        span: Span,
        path: &KeyPath<'_>,
    ) {
        let Some(tag) = tag else { return };
        if !tag.is_yaml_core_schema() || !["map", "seq", "str", "int", "bool", "null"].contains(&&*tag.suffix)
        {
            self.unknown_tag(tag, span, path);
        } else if tag.suffix != due {
            let message = format!("{what} does not match its tag `!!{}`", tag.suffix);
            self.diagnostics.add(span, path, message);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, span: Span, path: &KeyPath<'_>) {
        let name = if tag.is_yaml_core_schema() {
            format!("!!{}", tag.suffix)
        } else {
            format!("{}{}", tag.handle, tag.suffix)
        };
        let hint = match &*name {
            "!vault" => secret::HINT,
            _ => "text that begins with `!` needs quotes",
        };
        self.diagnostics
            .add(span, path, format!("the tag {} is not supported", quoted(&name)))
            .hint(hint);
    }
}

/// Resolves a plain scalar by the core schema. Only decimal integers become numbers.
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
