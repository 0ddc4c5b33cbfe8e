//! The tree of nodes that every format parses to.

pub mod canonical;
pub mod merge;
pub mod path;
pub mod read;
pub mod size;

use crate::span::Span;

/// A value of a document with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The place; of a map or list, all of it.
    pub span: Span,
    /// The value.
    pub data: Data,
}

/// The kinds of values that the three formats have in common.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `null`, `~`, or nothing after a key: withdraws the value of a lower layer.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A plain decimal integer.
    Integer(i64),
    /// Every other scalar, as written: text, quoted numbers, and number forms that are rejected where a
    /// number is required (octal, sexagesimal, `1e3`, floats).
    Text {
        /// The text after unescaping.
        value: String,
        /// Whether it was written without quotes.
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
    /// The place of the key.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}
