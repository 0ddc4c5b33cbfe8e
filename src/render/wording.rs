//! Text that several output formats of a plan share.

pub mod utc;

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

/// The line about a plan that was applied, and after which `others` declared facts do not hold.
pub fn applied_line(done: usize, others: usize) -> String {
    let writes = count(done, "write");
    match others {
        0 => format!("Applied: {writes}; verified, nothing left to change."),
        others => format!("Applied: {writes}; verified, {}.", new_drift(others)),
    }
}

/// The changes of another program during an apply.
pub fn new_drift(number: usize) -> String {
    match number {
        1 => "but another program changed 1 declared fact that this apply did not write".to_owned(),
        number => {
            format!("but other programs changed {number} declared facts that this apply did not write")
        }
    }
}

/// The text of a file that exists.
pub(crate) fn file_text(value: &Option<Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}
