//! Documents of any format parse to one tree of nodes with spans, so that every error has its
//! line and all errors come at once.

mod ansible;
pub mod canonical;
pub mod dialect;
pub mod format;
pub mod hiera;
pub mod json;
pub mod location;
pub mod merge;
pub mod node;
pub mod number;
pub mod path;
pub mod report;
mod secret;
pub mod talos;
pub mod text;
pub mod toml;
mod variables;
pub mod yaml;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::error::Diagnostics;
pub use dialect::{Dialect, Reading};
pub use format::detect;
pub use location::{Location, Locator};
pub use merge::{merge, withdraw};
pub use path::Path;
pub use report::render;
pub use text::decode;

/// How deep maps and lists may nest.
pub const MAX_DEPTH: usize = 64;

/// How many values one file may come to, aliases expanded.
pub const MAX_NODES: usize = 2_000_000;

/// How many bytes one file may have.
pub const MAX_BYTES: usize = 16 << 20;

/// The format of a document's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2 core schema, one document a file.
    Yaml,
    /// Strict JSON: no comments, no trailing commas.
    Json,
    /// TOML.
    Toml,
}

/// Which of the [`Sources`] a span lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FileId(pub u16);

/// A half-open range of bytes in one source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// One document as it was given, kept for the lines of error messages.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The name to show: the path as the user gave it, or `<stdin>`.
    pub name: Arc<str>,
    /// The text, without a byte order mark.
    pub text: Arc<str>,
}

/// All files of one invocation, in the order in which they are layered.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The files; a [`FileId`] indexes them.
    pub files: Vec<SourceFile>,
}

/// A value of a document with the place it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands; of a map or list the whole of it.
    pub span: Span,
    /// What it is.
    pub data: Data,
}

/// The shapes that the three formats have in common.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `null`, `~`, or nothing after a key: withdraws what a lower layer said.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A plain decimal integer.
    Integer(i64),
    /// Everything else that is scalar: text, quoted numbers, and the number forms that are
    /// refused where a number is due (octal, sexagesimal, `1e3`, floats), as they were written.
    Text {
        /// The text after unescaping.
        value: String,
        /// It was written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// A key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Span {
    /// A range of bytes of a file; what no file can reach is cut to what `u32` can say.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let cut = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            file,
            start: cut(start),
            end: cut(end.max(start)),
        }
    }
}

impl Sources {
    /// Adds a file, without its byte order mark, and returns its id.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        let id = FileId(u16::try_from(self.files.len()).unwrap_or(u16::MAX));
        self.files.push(SourceFile {
            name: name.into(),
            text: text::without_mark(text).into(),
        });
        id
    }

    /// Adds and parses a file as it was read: decodes it, tells the format when none is given, and
    /// keeps the text for the messages. `None` when nothing could be made of it.
    pub fn load(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        format: Option<Format>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Node> {
        self.load_with(name, bytes, format, false, diagnostics).pop()
    }

    /// As [`Sources::load`]; with `many` as many nodes as a file of YAML has documents. Empty when
    /// nothing could be made of it.
    pub fn load_with(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        format: Option<Format>,
        many: bool,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Node> {
        let nodes = match decode(bytes) {
            Ok(text) => {
                let file = self.add(name, &text);
                let format = format.unwrap_or_else(|| detect(name, &text));
                parse_with(file, &text, format, many, diagnostics)
            }
            Err(error) => {
                let file = self.add(name, "");
                let diagnostic = diagnostics.add(Span::new(file, 0, 0), "", error.message);
                diagnostic.hints = error.hints;
                None
            }
        };
        diagnostics.lost |= nodes.is_none();
        nodes.unwrap_or_default()
    }

    /// A file's text; empty for an id that is not of these sources.
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(usize::from(file.0)).map_or("", |file| &file.text)
    }

    /// A file's name; empty for an id that is not of these sources.
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(usize::from(file.0)).map_or("", |file| &file.name)
    }
}

/// Parses one file. Everything that is wrong is added to `diagnostics`; `None` when nothing could
/// be made of the text. A file without content is an empty map.
pub fn parse(file: FileId, text: &str, format: Format, diagnostics: &mut Diagnostics) -> Option<Node> {
    parse_with(file, text, format, false, diagnostics)?.pop()
}

/// One node, or with `many` as many as a file of YAML has documents.
fn parse_with(
    file: FileId,
    text: &str,
    format: Format,
    many: bool,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Node>> {
    let text = text::without_mark(text);
    if !text::readable(file, text, diagnostics) {
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
        return yaml::parse_all(file, text, diagnostics);
    }
    let mut root = match format {
        Format::Yaml => yaml::parse(file, text, diagnostics),
        Format::Json => json::parse(file, text, diagnostics),
        Format::Toml => toml::parse(file, text, diagnostics),
    }?;
    if root.data == Data::Null {
        root.data = Data::Map(Vec::new());
    }
    Some(vec![root])
}
