//! An error or warning about a document, and a bounded list of them.

use std::collections::BTreeSet;

use crate::span::Span;
use netkeel_core::fact::Fact;
use netkeel_core::finding::Findings;

/// An error in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// The place; `None` when it concerns a whole file without text (an empty document).
    pub span: Option<Span>,
    /// The key path, as `link.pods.match.name` or `tunnel.ipip0.addresses[1]`.
    pub path: String,
    /// The error, one sentence without a full stop.
    pub message: String,
    /// A second place with a label: the other half of a conflict, the first of two duplicates.
    pub other: Option<(Span, String)>,
    /// Ways to fix it.
    pub hints: Vec<String>,
    /// The facts that cannot get their wanted values; all other facts can. Empty when the document as a
    /// whole is invalid.
    pub facts: BTreeSet<Fact>,
}

/// The maximum number of diagnostics kept. More usually have one cause in many places.
const MAX_KEPT: usize = 1000;

/// All diagnostics, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// The diagnostics that are kept.
    pub list: Vec<Diagnostic>,
    /// The number of diagnostics that are not kept.
    pub more: usize,
    /// Findings about an input that is valid.
    pub findings: Findings,
    /// Whether a file could not be parsed into a tree; keys that seem absent may be in that file.
    pub lost: bool,
    /// The last diagnostic that was not kept: [`Diagnostics::add`] has to return a reference.
    dropped: Diagnostic,
}

impl Diagnostics {
    /// Adds a diagnostic and returns it, so that the caller can add hints.
    pub fn add(
        &mut self,
        span: impl Into<Option<Span>>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let diagnostic = Diagnostic {
            span: span.into(),
            path: path.into(),
            message: message.into(),
            other: None,
            hints: Vec::new(),
            facts: BTreeSet::new(),
        };
        if self.list.len() < MAX_KEPT {
            self.list.push(diagnostic);
            if let Some(last) = self.list.last_mut() {
                return last;
            }
        } else {
            self.more += 1;
            self.dropped = diagnostic;
        }
        &mut self.dropped
    }

    /// Adds an error for a place that several facts share; further errors about the place are not
    /// added.
    pub fn add_once(&mut self, span: Span, path: &str, message: impl Into<String>) -> &mut Diagnostic {
        match self.list.iter().position(|told| told.span == Some(span)) {
            Some(place) => self.list.get_mut(place).unwrap_or(&mut self.dropped),
            None => self.add(span, path, message),
        }
    }

    /// Whether there are no errors; there may be findings.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The diagnostics from the first file to the last and from top to bottom; those without a place first.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<&Diagnostic> = self.list.iter().collect();
        list.sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.file, span.start)));
        list
    }

    /// The number of diagnostics, including those not kept.
    pub fn count(&self) -> usize {
        self.list.len() + self.more
    }

    /// Appends all of another list.
    pub fn extend(&mut self, other: Diagnostics) {
        self.findings.extend(other.findings.into_sorted());
        for diagnostic in other.list {
            if self.list.len() < MAX_KEPT {
                self.list.push(diagnostic);
            } else {
                self.more += 1;
            }
        }
        self.more += other.more;
    }
}

impl Diagnostic {
    /// Adds a hint.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hints.push(hint.into());
        self
    }

    /// Names an affected fact; a diagnostic may have several.
    pub fn concerns(&mut self, fact: &Fact) -> &mut Self {
        self.facts.insert(fact.clone());
        self
    }

    /// Adds a second place.
    pub fn other(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.other = Some((span, label.into()));
        self
    }
}
