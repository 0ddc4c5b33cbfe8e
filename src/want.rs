//! What a document wants of a host: one value for each fact, with the place that says so.

mod budget;
mod pod;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::Diagnostics;
use crate::fact::{Fact, Value};
use crate::finding::Findings;
use crate::link_name::LinkName;
use crate::snapshot::Problem;
use crate::source::Span;
pub use pod::{LeftAlone, PodMtu, Wish};

/// The value that a fact should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// In the kernel's words.
    pub value: Value,
    /// What says so; one for all interfaces that a match finds.
    pub origin: Arc<Origin>,
}

/// The line of a document that wants something, and what goes with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Where the document says so.
    pub span: Span,
    /// The resource that says so, as a path: `link.pods.mtu`.
    pub path: Arc<str>,
    /// The interface is named, not matched: it is missed when it is gone.
    pub named: bool,
    /// The document allows that IPv6 is lost for this.
    pub permits_ipv6_loss: bool,
    /// How the value was derived, where the document gives a budget: `1450 - 80 wireguard = 1370`.
    pub derivation: Option<Arc<str>>,
}

impl Origin {
    /// A line that names what it is for.
    pub fn named(span: Span, path: impl Into<Arc<str>>) -> Self {
        Origin {
            span,
            path: path.into(),
            named: true,
            ..Origin::default()
        }
    }
}

impl Want {
    /// What a line wants.
    pub fn new(value: Value, origin: Origin) -> Self {
        let origin = Arc::new(origin);
        Want { value, origin }
    }
}

/// All wants of a document on a host, and what was noticed on the way.
#[derive(Debug, Default)]
pub struct Wants {
    /// The wants.
    pub facts: BTreeMap<Fact, Want>,
    /// Interfaces that the document makes: no match reaches them.
    pub made: BTreeSet<LinkName>,
    /// What is wrong: conflicts, values a device cannot take, refusals.
    pub diagnostics: Diagnostics,
    /// What should be known.
    pub findings: Findings,
    /// What cannot be brought about as things are, although nothing is wrong with the document.
    pub problems: Vec<Problem>,
    /// Interfaces that are named and not there, each with the path that names it first.
    pub absent: BTreeMap<LinkName, String>,
    /// The pods that netkeel leaves alone although they do not go with what is wanted.
    pub left_alone: BTreeMap<LinkName, LeftAlone>,
    /// Matches that meet no interface, each by its path.
    pub unmatched: Vec<Arc<str>>,
    /// Wants that a budget is to give a value.
    pending: Vec<budget::Pending>,
    /// What is wanted of the other ends of veths.
    pods: BTreeMap<LinkName, pod::Wish>,
}

impl Wants {
    /// Adds a want; a different one on the same fact is a conflict.
    pub fn add(&mut self, fact: Fact, want: Want) {
        match self.facts.entry(fact) {
            Entry::Occupied(entry) if entry.get().value == want.value => {}
            Entry::Occupied(entry) => {
                let (fact, first) = (entry.key(), entry.get());
                let message = format!(
                    "{fact} cannot be {} and {}",
                    fact.show(Some(&first.value)),
                    fact.show(Some(&want.value))
                );
                let label = format!("`{}` wants {}", first.origin.path, fact.show(Some(&first.value)));
                let first_span = first.origin.span;
                // A pair of lines can conflict on a thousand interfaces; the first tells it.
                let told = self.diagnostics.list.iter_mut().find(|d| {
                    d.span == Some(want.origin.span)
                        && d.other.as_ref().is_some_and(|(span, _)| *span == first_span)
                });
                let diagnostic = match told {
                    Some(told) => told,
                    None => self
                        .diagnostics
                        .add(want.origin.span, &*want.origin.path, message)
                        .other(first_span, label)
                        .hint("keep one of the two"),
                };
                diagnostic.concerns(fact);
            }
            Entry::Vacant(entry) => {
                entry.insert(want);
            }
        }
    }

    /// Adds the wants of a match, of which no two are on one fact. A match finds thousands of
    /// interfaces: a map that is built at once takes a third of the time, and half of the memory,
    /// of one that grows.
    pub fn add_all(&mut self, wants: Vec<(Fact, Want)>) {
        if wants.len() < self.facts.len() {
            for (fact, want) in wants {
                self.add(fact, want);
            }
            return;
        }
        let old = std::mem::replace(&mut self.facts, wants.into_iter().collect());
        for (fact, first) in old {
            // What was there is the first of the two in what is told of a conflict.
            if let Some(second) = self.facts.insert(fact.clone(), first) {
                self.add(fact, second);
            }
        }
    }

    /// Notes that an interface is named and not there. It is no error, since interfaces come and
    /// go and another resource of the document may make this one.
    pub fn when_absent(&mut self, name: LinkName, path: &str) {
        self.absent.entry(name).or_insert_with(|| path.to_owned());
    }
}
