//! The line of a document that wants a value.

use serde::Serialize;

use netkeel_core::fact::Fact;
use netkeel_document::want::wants::Wants;
use netkeel_source::sources::Sources;

/// The documents of the host, as an explanation asks them.
#[derive(Clone, Copy, Debug)]
pub struct Declaring<'a> {
    /// The wants of the documents on this host.
    pub wants: &'a Wants,
    /// The texts of the documents.
    pub sources: &'a Sources,
}

/// The wanted value of a fact, and its place in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Declared {
    /// The value.
    pub value: String,
    /// The path in the document.
    pub path: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The derivation of the value, if the document gives a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derivation: Option<String>,
}

impl Declaring<'_> {
    /// What the documents want of a fact.
    pub(crate) fn of(&self, fact: &Fact) -> Option<Declared> {
        let want = self.wants.facts.get(fact)?;
        let place = self.sources.locate(want.origin.span);
        Some(Declared {
            value: fact.summary(Some(&want.value)),
            path: want.origin.path.to_string(),
            file: place.file.to_string(),
            line: place.line,
            column: place.column,
            derivation: want.origin.derivation.as_deref().map(str::to_owned),
        })
    }
}
