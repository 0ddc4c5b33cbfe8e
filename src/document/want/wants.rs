//! What a document wants of a host: one value for each fact, with the place that says so.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::want::request::SkippedPod;
use crate::want::{Want, pending, request};
use netkeel_core::fact::Fact;
use netkeel_core::finding::Findings;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::problem::Problem;
use netkeel_source::diagnostic::Diagnostics;

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
    pub left_alone: BTreeMap<LinkName, SkippedPod>,
    /// Matches that meet no interface, each by its path.
    pub unmatched: Vec<Arc<str>>,
    /// Wants that a budget is to give a value.
    pub(crate) pending: Vec<pending::Pending>,
    /// What is wanted of the other ends of veths.
    pub(crate) pods: BTreeMap<LinkName, request::PodMtuRequest>,
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
    pub(crate) fn add_all(&mut self, wants: Vec<(Fact, Want)>) {
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
    pub(crate) fn when_absent(&mut self, name: LinkName, path: &str) {
        self.absent.entry(name).or_insert_with(|| path.to_owned());
    }
}
