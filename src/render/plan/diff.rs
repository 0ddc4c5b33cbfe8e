//! A plan as a unified diff. A file is shown as it is, every other object as a file of `field: value`
//! lines. Objects with identical changes are one such file.

pub mod unified;

use std::fmt::Write as _;

use crate::plan::diff::unified::unified;
use crate::plan::words::{causes, field, names, title, values};
use crate::wording::file_text;
use netkeel_core::fact::{Field, Object, Value};
use netkeel_core::text::escape::printable;
use netkeel_plan::plan::Plan;
use netkeel_plan::plan::groups::{Group, Grouping};

/// The diff; empty if the host is in sync and there is no problem.
pub fn plan(plan: &Plan, grouping: Grouping) -> String {
    let mut out = String::new();
    // Tools that apply a diff ignore the text before a file.
    for problem in &plan.problems {
        let _ = writeln!(
            out,
            "# problem: {}: {}",
            printable(&problem.what.to_string()),
            printable(&problem.why)
        );
    }
    for group in plan.groups(grouping) {
        out.push_str(&of_group(&group));
    }
    out
}

/// The diff of a group.
pub(super) fn of_group(group: &Group<'_>) -> String {
    let changes = group.first.changes;
    let content = changes.iter().find(|drift| drift.fact.field == Field::Content);
    if let (Object::File(path), Some(drift)) = (group.first.object, content) {
        let name = printable(&path.display().to_string()).into_owned();
        let (old, new) = (file_text(&drift.observed), file_text(&drift.desired));
        return unified(old, new, &name, &name);
    }
    let (old, new) = (lines(group, false), lines(group, true));
    let title = title(group);
    let diff = unified(
        old.as_deref(),
        new.as_deref(),
        &format!("observed {title}"),
        &format!("desired {title}"),
    );
    let mut notes = causes(group);
    notes.extend((!group.is_single()).then(|| names(group).0));
    let notes: String = notes.iter().map(|note| format!("# {title}: {note}\n")).collect();
    notes + &diff
}

/// The differing fields of the objects; `None` if they do not exist.
fn lines(group: &Group<'_>, desired: bool) -> Option<String> {
    let mut out = String::new();
    for (number, drift) in group.first.changes.iter().enumerate() {
        let value = if desired { &drift.desired } else { &drift.observed };
        let is_there = |value: &Value| *value != Value::Switch(false) || drift.fact.field == Field::Up;
        if value.as_ref().is_some_and(is_there) {
            let (is, should) = values(number, group);
            let value = if desired { should } else { is };
            let _ = writeln!(out, "{}: {value}", field(number, group));
        }
    }
    (!out.is_empty()).then_some(out)
}
