//! A plan as a unified diff. A file is shown as it is, every other object as a file of `field: value`
//! lines.

pub mod unified;

use std::fmt::Write as _;

use crate::diff::unified::unified;
use crate::wording::{by_object, file_text};
use netkeel_core::fact::{Field, Object, Value};
use netkeel_core::text::escape::printable;
use netkeel_plan::plan::{Drift, Plan};

/// The diff; empty if the host is in sync and there is no problem.
pub fn plan(plan: &Plan) -> String {
    let mut out = String::new();
    // Tools that apply a diff ignore the text before the first file.
    for problem in &plan.problems {
        let _ = writeln!(
            out,
            "# problem: {}: {}",
            printable(&problem.what.to_string()),
            printable(&problem.why)
        );
    }
    for (object, drift) in by_object(plan) {
        let content = drift.iter().find(|drift| drift.fact.field == Field::Content);
        out.push_str(&match (object, content) {
            (Object::File(path), Some(drift)) => {
                let name = printable(&path.display().to_string()).into_owned();
                unified(
                    file_text(&drift.observed),
                    file_text(&drift.desired),
                    &name,
                    &name,
                )
            }
            _ => {
                let (old, new) = (lines(drift, false), lines(drift, true));
                let name = object.to_string();
                unified(
                    old.as_deref(),
                    new.as_deref(),
                    &format!("observed {name}"),
                    &format!("desired {name}"),
                )
            }
        });
    }
    out
}

/// The differing fields of an object; `None` if the object does not exist.
fn lines(drift: &[Drift], desired: bool) -> Option<String> {
    let mut out = String::new();
    for drift in drift {
        let value = if desired { &drift.desired } else { &drift.observed };
        let is_there = |value: &Value| *value != Value::Switch(false) || drift.fact.field == Field::Up;
        if value.as_ref().is_some_and(is_there) {
            let (is, should) = drift.shown();
            let _ = writeln!(out, "{}: {}", drift.fact.field, if desired { should } else { is });
        }
    }
    (!out.is_empty()).then_some(out)
}
