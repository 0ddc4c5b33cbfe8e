//! Text that several output formats of a plan share.

use netkeel_core::fact::{Object, Value};
use netkeel_plan::plan::{Drift, Plan};

/// The drift of each object, in order.
pub(crate) fn by_object(plan: &Plan) -> impl Iterator<Item = (&Object, &[Drift])> {
    let same = |a: &Drift, b: &Drift| a.fact.object == b.fact.object;
    let objects = plan.drift.chunk_by(same);
    objects.filter_map(|drift| Some((&drift.first()?.fact.object, drift)))
}

/// `1 change`, `2 changes`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// The line about a plan that was applied.
pub fn applied_line(done: usize) -> String {
    format!(
        "Applied: {}; verified, nothing left to change.",
        count(done, "write")
    )
}

/// The text of a file that exists.
pub(crate) fn file_text(value: &Option<Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}
