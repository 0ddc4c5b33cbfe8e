//! Documents of any format parse to one tree of nodes with spans, so that every error has its
//! line and all errors come at once.

pub mod json;
pub mod merge;
pub mod toml;
pub mod yaml;

use std::sync::Arc;

use crate::error::Diagnostics;

/// The format of a document's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2 core schema, one document a file.
    Yaml,
    /// Strict JSON: no comments, no trailing commas.
    Json,
    /// TOML 1.0.
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

impl Sources {
    /// Adds a file and returns its id.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        let id = FileId(u16::try_from(self.files.len()).unwrap_or(u16::MAX));
        self.files.push(SourceFile {
            name: name.into(),
            text: text.into(),
        });
        id
    }
}

/// Parses one file. Everything that is wrong is added to `diagnostics`; `None` when nothing could
/// be made of the text.
pub fn parse(file: FileId, text: &str, format: Format, diagnostics: &mut Diagnostics) -> Option<Node> {
    match format {
        Format::Yaml => yaml::parse(file, text, diagnostics),
        Format::Json => json::parse(file, text, diagnostics),
        Format::Toml => toml::parse(file, text, diagnostics),
    }
}
