//! Documents of tests.

use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// Reads a valid document.
pub(crate) fn document(text: &str) -> Document {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let node = sources.load("a.yaml", text.as_bytes().to_vec(), None, &mut diagnostics);
    let document = Document::read(node.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    document
}

/// Reads sections of a document that writes no drop-in.
pub(crate) fn for_now(sections: &str) -> Document {
    document(&format!("version: 1\npersist: false\n{sections}\n"))
}
