//! One error or warning of a document, and a bounded collection of them.

use std::collections::BTreeSet;

use crate::span::Span;
use netkeel_core::fact::Fact;

/// One thing that is wrong in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where; `None` when it concerns a file as a whole that has no text (an empty document).
    pub span: Option<Span>,
    /// The path of keys to it, as `link.pods.match.name` or `tunnel.ipip0.addresses[1]`.
    pub path: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// A second place that matters, with a label: the other half of a conflict, the first of two
    /// duplicates.
    pub other: Option<(Span, String)>,
    /// What would be right.
    pub hints: Vec<String>,
    /// The facts that cannot be as they are wanted for it: all else can be done without them. None
    /// when the document as a whole is wrong.
    pub facts: BTreeSet<Fact>,
}

/// How many diagnostics are kept; whoever gets more has one cause in many places.
const MAX_KEPT: usize = 1000;

/// All that is wrong, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// The diagnostics.
    pub list: Vec<Diagnostic>,
    /// How many more there were than are kept.
    pub more: usize,
    /// A file could not be read as a tree at all: what is missing may stand in it.
    pub lost: bool,
    /// The last one that was not kept: [`Diagnostics::add`] has to return something.
    dropped: Diagnostic,
}

impl Diagnostics {
    /// Adds one and returns it, so that hints can follow.
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

    /// Adds what is wrong in a place where it may be wrong for many facts: the first tells it.
    pub fn add_once(&mut self, span: Span, path: &str, message: impl Into<String>) -> &mut Diagnostic {
        match self.list.iter().position(|told| told.span == Some(span)) {
            Some(place) => self.list.get_mut(place).unwrap_or(&mut self.dropped),
            None => self.add(span, path, message),
        }
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many things are wrong.
    pub fn count(&self) -> usize {
        self.list.len() + self.more
    }

    /// Takes over all of another list.
    pub fn extend(&mut self, other: Diagnostics) {
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
    /// Adds what would be right.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hints.push(hint.into());
        self
    }

    /// Says which fact cannot be as it is wanted; it may be one of many.
    pub fn concerns(&mut self, fact: &Fact) -> &mut Self {
        self.facts.insert(fact.clone());
        self
    }

    /// Points at a second place.
    pub fn other(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.other = Some((span, label.into()));
        self
    }
}
