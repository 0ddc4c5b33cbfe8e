//! The version of a document that is converted from another format.

use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::span::Span;

/// A document of these entries, with the current version of the format.
pub(crate) fn document(mut entries: Vec<Entry>, span: Span) -> Node {
    let start = Span {
        end: span.start,
        ..span
    };
    let version = Entry {
        key: "version".to_owned(),
        key_span: start,
        value: Node {
            span: start,
            data: Data::Integer(netkeel_document::document::VERSION),
        },
    };
    entries.insert(0, version);
    Node {
        span,
        data: Data::Map(entries),
    }
}
