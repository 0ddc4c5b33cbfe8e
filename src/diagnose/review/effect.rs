//! The objects of one class: on one host, and on all hosts of a group.

use std::sync::Arc;

use crate::review::class::{Class, FieldOf};
use netkeel_core::fact::{Fact, Object, Value};
use netkeel_plan::loss::Loss;
use netkeel_plan::plan::groups::pattern;

/// A line of a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The file's name as the user gave it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub number: usize,
    /// The line is one of the old document, which alone declares the fact.
    pub is_old: bool,
}

/// A change of the object that is shown for all of its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The fact.
    pub fact: Fact,
    /// The line that declares it.
    pub line: Option<Line>,
    /// The derivation of the new value, if the document gives a budget.
    pub derivation: Option<Arc<str>>,
}

/// The least and the greatest of numbers; `None` if a value is not a number.
pub type Range = Option<(i64, i64)>;

/// The objects of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// An object's changes, in the order of the changes of the class.
    pub examples: Vec<Example>,
    /// State that the undo of the writes to the example does not restore.
    pub losses: Vec<Loss>,
    /// Another object loses other state of the same kinds.
    pub losses_vary: bool,
    /// The old values of each change; the class has them unless they vary.
    pub(super) ranges: Vec<Range>,
    /// The smallest and the largest number of objects on a host.
    pub on_a_host: (usize, usize),
    /// The number of objects on all hosts.
    pub total: usize,
    /// The first and the last name of the objects of all hosts.
    pub names: (Object, Object),
}

impl Effect {
    /// The effect of one object.
    pub(super) fn new(
        object: &Object,
        examples: Vec<Example>,
        losses: Vec<Loss>,
        ranges: Vec<Range>,
    ) -> Self {
        Effect {
            examples,
            losses,
            losses_vary: false,
            ranges,
            on_a_host: (1, 1),
            total: 1,
            names: (object.clone(), object.clone()),
        }
    }

    /// Adds an object of the same host.
    pub(super) fn count(&mut self, object: &Object, losses: &[Loss]) {
        self.losses_vary |= self.losses != losses;
        self.total += 1;
        self.on_a_host = (self.total, self.total);
        self.spread(object, object);
    }

    /// Adds the objects of another class of the same hosts that differ in the old values only.
    pub(super) fn join(&mut self, other: Effect) {
        self.total += other.total;
        self.on_a_host.0 += other.on_a_host.0;
        self.on_a_host.1 += other.on_a_host.1;
        self.widen(&other);
    }

    /// Adds the objects of other hosts. `earlier`: the examples are from the host with the first name.
    pub(super) fn add(&mut self, other: Effect, earlier: bool) {
        self.on_a_host = (
            self.on_a_host.0.min(other.on_a_host.0),
            self.on_a_host.1.max(other.on_a_host.1),
        );
        self.total += other.total;
        self.widen(&other);
        if earlier {
            self.examples = other.examples;
            self.losses = other.losses;
        }
    }

    fn widen(&mut self, other: &Effect) {
        self.losses_vary |= other.losses_vary || self.losses != other.losses;
        for (range, with) in self.ranges.iter_mut().zip(&other.ranges) {
            *range = range.zip(*with).map(|((a, b), (c, d))| (a.min(c), b.max(d)));
        }
        self.spread(&other.names.0, &other.names.1);
    }

    fn spread(&mut self, first: &Object, last: &Object) {
        if *first < self.names.0 {
            self.names.0 = first.clone();
        }
        if *last > self.names.1 {
            self.names.1 = last.clone();
        }
    }

    /// The least and the greatest old value of a change, by its number.
    pub fn range(&self, number: usize) -> Range {
        self.ranges.get(number).copied().flatten()
    }

    /// The pattern of the names; `None` if they do not begin alike.
    pub fn pattern(&self) -> Option<String> {
        pattern::pattern([&self.names.0, &self.names.1].into_iter())
    }

    /// The one object that all hosts have.
    pub fn only(&self) -> Option<&Object> {
        let same = self.names.0 == self.names.1 && self.on_a_host == (1, 1);
        same.then_some(&self.names.0)
    }
}

/// The range of one value.
pub(super) fn range(value: Option<&Value>) -> Range {
    let value = value?;
    // A sysctl's value is text.
    let text = value.text().filter(|text| !text.is_secret());
    let number = value.number().or_else(|| text?.parse().ok())?;
    Some((number, number))
}

/// The name of a field, without the route or address of one object if the objects have their own.
pub fn field_name(field: FieldOf) -> String {
    match field {
        FieldOf::Exact(field) => field.to_string(),
        FieldOf::Any(name) => name.to_owned(),
    }
}

/// The effects of a class, ordered by class.
pub type Effects = std::collections::BTreeMap<Class, Effect>;
