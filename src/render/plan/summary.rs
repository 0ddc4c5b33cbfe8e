//! A plan in one line, and its numbers.

use std::collections::BTreeSet;

use crate::plan::of::Of;
use crate::wording::{count_thousands, thousands};
use netkeel_core::finding::{Code, Severity};
use netkeel_plan::plan::Plan;

/// The summary of a plan in one line: the output of `check`.
pub fn summary(plan: &Plan, of: Of) -> String {
    let start = match differs(plan) {
        true => format!("{}; {}", drift(plan, of), writes(plan)),
        false => return format!("{}{}.", settled(plan, of), after(&severities(plan))),
    };
    format!("{start}{}.", notes(plan))
}

/// The codes of the errors and warnings of a plan, with the command that shows them; empty if there are none. It
/// follows a summary that is printed without the findings.
pub fn codes(plan: &Plan) -> String {
    let worth = |code: &Code| code.severity() != Severity::Note;
    let codes = plan.findings.iter().map(|finding| finding.code).filter(worth);
    let codes: BTreeSet<String> = codes.map(|code| code.to_string()).collect();
    match codes.is_empty() {
        true => String::new(),
        false => {
            let codes = codes.into_iter().collect::<Vec<_>>().join(", ");
            format!(" `netkeel plan` shows {codes}.")
        }
    }
}

/// Notes at the end of a sentence.
fn after(notes: &[String]) -> String {
    match notes {
        [] => String::new(),
        notes => format!("; {}", notes.join(", ")),
    }
}

/// Whether the plan has something to do. Otherwise [`settled`] has all of it.
pub(super) fn differs(plan: &Plan) -> bool {
    let has_more = plan.problems.is_empty() && plan.skipped.is_empty();
    !plan.in_sync() && (!plan.drift.is_empty() || has_more)
}

/// The first line of a plan that has something to do: `Drift: 3 of 5 declared facts, on 1 object (this host)`, or
/// `To give back: 3 facts, on 1 object (this host)`.
pub(super) fn drift(plan: &Plan, of: Of) -> String {
    let objects = plan.counts().objects;
    format!(
        "{}{}, on {} ({})",
        facts(plan),
        stale(plan),
        count_thousands(objects, "object"),
        of.place(&plan.netns)
    )
}

/// The line of a plan that has nothing to do.
pub(super) fn settled(plan: &Plan, of: Of) -> String {
    let (place, stale) = (of.place(&plan.netns), stale(plan));
    if plan.in_sync() && matches_nothing(plan) {
        format!("Nothing matched: the document names nothing that is here ({place})")
    } else if plan.in_sync() {
        let facts = count_thousands(plan.wanted, "fact");
        format!("In sync: {facts} as declared{stale} ({place})")
    } else {
        let mut why = Vec::new();
        why.extend((!plan.problems.is_empty()).then(|| problems(plan)));
        why.extend((!plan.skipped.is_empty()).then(|| {
            let named = count_thousands(plan.skipped.len(), "interface");
            format!("{named} that the document names and netkeel skips")
        }));
        format!(
            "Not in sync: {}; otherwise nothing differs of {}{stale} ({place})",
            why.join(", "),
            count_thousands(plan.wanted, "declared fact"),
        )
    }
}

/// Whether nothing is declared on this host only since what the document names does not exist.
fn matches_nothing(plan: &Plan) -> bool {
    let missing = |code| matches!(code, Code::NK005 | Code::NK037 | Code::NK040 | Code::NK073);
    plan.wanted == 0 && plan.findings.iter().any(|finding| missing(finding.code))
}

/// The number of writes, and whether they can be undone: `3 writes, all with exact undo`.
pub(super) fn writes(plan: &Plan) -> String {
    let inexact = plan
        .steps
        .iter()
        .filter(|step| !step.undo.loses.is_empty())
        .count();
    let undo = match inexact {
        0 => "all with exact undo".to_owned(),
        inexact => format!("{} without exact undo", thousands(inexact)),
    };
    format!("{}, {undo}", count_thousands(plan.steps.len(), "write"))
}

/// The findings and problems of a plan by number: `; 1 warning, 2 problems`, or empty.
pub(super) fn notes(plan: &Plan) -> String {
    let mut notes = severities(plan);
    notes.extend((!plan.problems.is_empty()).then(|| problems(plan)));
    after(&notes)
}

/// The numbers of a plan that has something to do, which a person decides by. A full stop or [`notes`] follow.
pub(super) fn decision(plan: &Plan) -> String {
    let counts = plan.counts();
    format!(
        "Plan: {} to create, {} to change, {} to destroy ({})",
        thousands(counts.create),
        thousands(counts.change),
        thousands(counts.destroy),
        count_thousands(counts.objects, "object")
    )
}

/// The number of findings by severity: `1 warning`.
pub(super) fn severities(plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        let findings = plan.findings.iter();
        let number = findings
            .filter(|finding| finding.code.severity() == severity)
            .count();
        if number > 0 {
            out.push(count_thousands(number, &severity.to_string()));
        }
    }
    out
}

/// The number of facts that could not be read.
pub(super) fn problems(plan: &Plan) -> String {
    count_thousands(plan.problems.len(), "problem")
}

/// The number of skipped pods that differ, as text. Findings name them.
fn stale(plan: &Plan) -> String {
    let left = plan.findings.iter().filter(|finding| finding.code == Code::NK045);
    let pods: BTreeSet<&String> = left.flat_map(|finding| &finding.subjects).collect();
    match pods.len() {
        0 => String::new(),
        number => format!(", {} stale and skipped", count_thousands(number, "pod")),
    }
}

/// What there is to do, with the number of declared facts that differ, and of other facts that are released.
fn facts(plan: &Plan) -> String {
    let declared = plan
        .drift
        .iter()
        .filter(|drift| !drift.origin.path.is_empty())
        .count();
    let back = plan.drift.len() - declared;
    let wanted = count_thousands(plan.wanted, "declared fact");
    let (declared, back_of) = (thousands(declared), thousands(back));
    match (back, plan.wanted) {
        (0, _) => format!("Drift: {declared} of {wanted}"),
        (back, 0) => format!("To give back: {}", count_thousands(back, "fact")),
        (_, _) => format!("Drift: {declared} of {wanted}, {back_of} to give back"),
    }
}
