//! The tree of nodes that every format parses to.

pub mod canonical;
pub mod merge;
pub mod path;
pub mod read;
pub mod size;

use crate::span::Span;

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
