//! Side effects of a plan: settings that the kernel changes together with the written ones.

use std::collections::BTreeMap;

use crate::plan::entry::WIDTH;
use crate::plan::words::{Noun, noun, number_of};
use crate::wording::wrap::wrap;
use netkeel_core::fact::{Fact, Field, Object};
use netkeel_core::text::list::some;
use netkeel_plan::plan::Plan;

/// Sysctls and groups of interfaces that are named.
const NAMED: usize = 12;

/// One kind of object, a field, and its values before and after.
type Kind = (Noun, String, String, String);

/// The side effects as text with an empty line at the end; empty if there are none. Interfaces with the same change are
/// counted, and sysctls named.
pub(super) fn text(plan: &Plan) -> String {
    let declared = |fact: &Fact| plan.drift.iter().any(|drift| drift.fact == *fact);
    let mut kinds: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for record in plan.beside.iter().filter(|record| !declared(&record.fact)) {
        let fact = &record.fact;
        let (before, after) = fact.summaries(record.found.as_ref(), record.wrote.as_ref());
        let (field, name) = match (&fact.object, fact.field) {
            (Object::Sysctl(key), Field::Value) => (key.to_string(), String::new()),
            (object, field) => (field.to_string(), object.to_string()),
        };
        kinds
            .entry((noun(&fact.object), field, before, after))
            .or_default()
            .push(name);
    }
    if kinds.is_empty() {
        return String::new();
    }
    let parts = kinds
        .iter()
        .map(|((noun, field, before, after), names)| match names.as_slice() {
            [name] if name.is_empty() => format!("{field} {before} -> {after}"),
            [name] => format!("{field} {before} -> {after} of {name}"),
            names => format!("{field} {before} -> {after} of {}", number_of(names.len(), *noun)),
        });
    let line = format!("Also changes, by the kernel: {}", some(parts, NAMED, "; "));
    format!("{}\n\n", wrap(&line, 0, 2, WIDTH))
}
