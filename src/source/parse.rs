//! Parses a source by its format.

use crate::diagnostic::Diagnostics;
use crate::json::parse;
use crate::node::{Data, Node};
use crate::span::{FileId, Span};
use crate::text::decode;
use crate::text::format::Format;
use crate::yaml::builder;

/// Parses one file and adds all errors to `diagnostics`; `None` when the text cannot be parsed. A file
/// without content is an empty map.
pub fn parse(file: FileId, text: &str, format: Format, diagnostics: &mut Diagnostics) -> Option<Node> {
    parse_with(file, text, format, false, diagnostics)?.pop()
}

/// Parses one node; with `many`, every document of a YAML file.
pub(crate) fn parse_with(
    file: FileId,
    text: &str,
    format: Format,
    many: bool,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Node>> {
    let text = decode::without_mark(text);
    if !decode::readable(file, text, diagnostics) {
        return None;
    }
    let nothing = Node {
        span: Span::new(file, 0, 0),
        data: Data::Map(Vec::new()),
    };
    if text.trim_start().is_empty() {
        return Some(if many { Vec::new() } else { vec![nothing] });
    }
    if many && format == Format::Yaml {
        return builder::parse_all(file, text, diagnostics);
    }
    let mut root = match format {
        Format::Yaml => builder::parse(file, text, diagnostics),
        Format::Json => parse::parse(file, text, diagnostics),
        Format::Toml => crate::toml::parse::parse(file, text, diagnostics),
    }?;
    if root.data == Data::Null {
        root.data = Data::Map(Vec::new());
    }
    Some(vec![root])
}
