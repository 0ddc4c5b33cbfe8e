//! The wants of a document on a host: one value for each fact, with its place in the document.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::want::request::SkippedPod;
use crate::want::{Want, pending, request};
use netkeel_core::fact::{Fact, Field};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::problem::Problem;
use netkeel_source::diagnostic::Diagnostics;

/// All wants of a document on a host, with findings and errors.
#[derive(Debug, Default)]
pub struct Wants {
    /// The wants, by fact.
    pub facts: BTreeMap<Fact, Want>,
    /// Interfaces that the document creates: no match selects them.
    pub made: BTreeSet<LinkName>,
    /// Errors: conflicts, values that a device cannot take, refusals.
    pub diagnostics: Diagnostics,
    /// Errors about entries that must bind an interface and bind none. A part of a host cannot show them.
    pub unbound: Diagnostics,
    /// Findings.
    pub findings: Findings,
    /// Wants that the host's state prevents, although the document is valid.
    pub problems: Vec<Problem>,
    /// Named interfaces that do not exist, each with the first path that names it.
    pub absent: BTreeMap<LinkName, String>,
    /// Pods that netkeel does not change although their MTU does not fit the wanted one.
    pub left_alone: BTreeMap<LinkName, SkippedPod>,
    /// Interfaces whose MTU the document sets by their exact name, and not by a match.
    pub named: BTreeSet<LinkName>,
    /// Facts that the document declares and that netkeel must not write here. They are not given back either.
    pub withheld: BTreeSet<Fact>,
    /// Matches without an interface, each by its path.
    pub unmatched: Vec<Arc<str>>,
    /// Wants whose value comes from a budget.
    pub(crate) pending: Vec<pending::Pending>,
    /// Requests for the other ends of veths.
    pub(crate) pods: BTreeMap<LinkName, request::PodMtuRequest>,
}

impl Wants {
    /// Adds a want; a different value for the same fact is a conflict.
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
                // Two lines can conflict on a thousand interfaces; only the first is reported.
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

    /// Adds the wants of a match, no two of which are on one fact. A match can select thousands of
    /// interfaces: a map built in one step takes a third of the time and half of the memory of one
    /// that grows.
    pub(crate) fn add_all(&mut self, wants: Vec<(Fact, Want)>) {
        if wants.len() < self.facts.len() {
            for (fact, want) in wants {
                self.add(fact, want);
            }
            return;
        }
        let old = std::mem::replace(&mut self.facts, wants.into_iter().collect());
        for (fact, first) in old {
            // The want that was there is the first of the two in a conflict report.
            if let Some(second) = self.facts.insert(fact.clone(), first) {
                self.add(fact, second);
            }
        }
    }

    /// Whether the document declares a fact that netkeel must not write here. The pod's end of a veth, and the routes
    /// over it, follow the host's end.
    pub fn withholds(&self, fact: &Fact) -> bool {
        let of_host = Fact {
            field: Field::Mtu,
            ..fact.clone()
        };
        let of_pod = matches!(fact.field, Field::PodMtu | Field::PodRouteMtu(_));
        self.withheld.contains(fact) || (of_pod && self.withheld.contains(&of_host))
    }

    /// Reports an interface that a document names by a further name or an alias and that is not there.
    pub(crate) fn long_name_absent(&mut self, name: &str, path: &str) {
        self.findings.add(
            Code::NK005,
            name,
            format!("`{path}` names it and it is not there"),
            "look for a misspelt name; a name of more than 15 bytes can only be a further name (altname) or an alias",
        );
    }

    /// Records that a named interface does not exist. That is not an error: interfaces come and go,
    /// and another resource of the document may create this one.
    pub(crate) fn when_absent(&mut self, name: LinkName, path: &str) {
        self.absent.entry(name).or_insert_with(|| path.to_owned());
    }
}
