//! A plan as Markdown, to post in a review.

use std::fmt::Write as _;

use crate::diff;
use crate::text::{Of, subjects, summary};
use crate::wording::applied_line;
use netkeel_core::text::escape::printable;
use netkeel_plan::outcome::Applied;
use netkeel_plan::plan::{Drift, Plan};
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;

/// Rows above this number are only counted: review tools truncate long comments.
const ROWS: usize = 200;

/// The plan.
pub fn plan(plan: &Plan, sources: &Sources, of: Of) -> String {
    whole("netkeel plan", &summary(plan, of), plan, sources)
}

/// A plan that was applied.
pub fn applied(applied: &Applied, sources: &Sources, of: Of) -> String {
    let (plan, new_drift) = (&applied.planned.plan, &applied.new_drift);
    let summary = summary(plan, of);
    let mut intro = match applied.done {
        0 => summary,
        done => format!("{}\n\nBefore: {summary}", applied_line(done, new_drift.len())),
    };
    for drift in new_drift {
        let _ = write!(intro, "\n\n- **new drift** {}", escaped(&drift.message));
    }
    whole("netkeel apply", &intro, plan, sources)
}

fn whole(heading: &str, intro: &str, plan: &Plan, sources: &Sources) -> String {
    let mut out = format!("### {heading}\n\n{intro}\n");
    if !plan.drift.is_empty() {
        out.push_str("\n| object | field | observed | desired | declared at |\n|---|---|---|---|---|\n");
        let mut locator = Locator::new(sources);
        let is_row = |drift: &&Drift| drift.fact.field != netkeel_core::fact::Field::Content;
        let rows = plan.drift.iter().filter(is_row);
        for drift in rows.take(ROWS) {
            let (observed, desired) = drift.shown();
            let cells = [
                drift.fact.object.to_string(),
                drift.fact.field.to_string(),
                observed,
                desired,
                match &drift.origin.derivation {
                    Some(line) => format!("{}: {line}", locator.locate(drift.origin.span)),
                    None => locator.locate(drift.origin.span).to_string(),
                },
            ];
            let _ = writeln!(out, "| {} |", cells.map(|cell| escaped(&cell)).join(" | "));
        }
        if plan.drift.len() > ROWS {
            let _ = writeln!(out, "\n{} more rows are not shown.", plan.drift.len() - ROWS);
        }
    }
    for step in plan.steps.iter().filter(|step| !step.undo.loses.is_empty()) {
        let loses: Vec<String> = step.undo.loses.iter().map(ToString::to_string).collect();
        let loses = escaped(&loses.join("; "));
        let _ = writeln!(out, "\n**Lossy:** `{}` loses {loses}", step.op);
    }
    for problem in &plan.problems {
        let _ = writeln!(
            out,
            "\n- **problem** {}: {}",
            escaped(&problem.what.to_string()),
            escaped(&problem.why)
        );
    }
    for finding in &plan.findings {
        let _ = writeln!(
            out,
            "\n- **{} {}** {}: {}  \n  {}",
            finding.code.severity(),
            finding.code,
            escaped(&subjects(&finding.subjects)),
            escaped(&finding.message),
            escaped(&finding.remedy)
        );
    }
    if !plan.drift.is_empty() && plan.drift.len() <= ROWS {
        // A fence must be longer than any run of backticks in the file.
        let _ = write!(
            out,
            "\n<details><summary>diff</summary>\n\n`````diff\n{}`````\n\n</details>\n",
            diff::plan(plan)
        );
    }
    out
}

/// Escapes text for a table cell or a sentence.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if matches!(c, '|' | '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
