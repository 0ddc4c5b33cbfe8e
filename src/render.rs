//! A plan as text, unified diff, JSON or Markdown.

pub mod diff;
pub mod explain;
pub mod json;
pub mod markdown;
pub mod mtu;
pub mod paint;
pub mod pods;
pub mod schema;
pub mod talos;
pub mod text;
mod unified;
pub mod utc;
pub mod yaml;

#[cfg(test)]
mod tests;

use crate::fact::{Object, Value};
use crate::plan::{Drift, Plan};
use unified::unified;

/// The drift of each object, in order.
fn by_object(plan: &Plan) -> impl Iterator<Item = (&Object, &[Drift])> {
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

/// The line that says that a plan was done.
pub fn applied_line(done: usize) -> String {
    format!(
        "Applied: {}; looked again and found nothing left.",
        count(done, "write")
    )
}

/// The text of a file that is there.
fn file_text(value: &Option<Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}
