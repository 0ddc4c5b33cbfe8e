//! A plan as Markdown, to post in a review.

pub(crate) mod escape;
pub(crate) mod page;
mod rows;

use crate::findings::subjects;
use crate::plan::diff;
use crate::plan::lossy::{many, word};
use crate::plan::markdown::escape::escaped;
use crate::plan::markdown::page::{Left, Page};
use crate::plan::markdown::rows::table;
use crate::plan::of::Of;
use crate::plan::summary;
use crate::plan::words::noun;
use crate::wording::{applied_line, thousands};
use netkeel_core::finding::Finding;
use netkeel_core::text::escape::printable;
use netkeel_plan::outcome::Applied;
use netkeel_plan::plan::Plan;
use netkeel_plan::plan::groups::lossy::LossyGroup;
use netkeel_plan::plan::groups::{Group, Grouping};
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;

/// The plan, at most 60 KiB.
pub fn plan(plan: &Plan, sources: &Sources, of: Of) -> String {
    whole("netkeel plan", &[], plan, sources, of)
}

/// A plan that was applied.
pub fn applied(applied: &Applied, sources: &Sources, of: Of) -> String {
    let (plan, new_drift) = (&applied.planned.plan, &applied.new_drift);
    let mut intro = Vec::new();
    if applied.done > 0 {
        intro.push(applied_line(
            applied.done,
            new_drift.len(),
            applied.planned.plan.unrestored.len(),
        ));
    }
    intro.extend(
        new_drift
            .iter()
            .map(|drift| format!("- **new drift** {}", escaped(&drift.message))),
    );
    if applied.done > 0 {
        intro.push("Before:".to_owned());
    }
    whole("netkeel apply", &intro, plan, sources, of)
}

/// The page: the numbers, what a person must decide on, the rare changes, the groups, and the diff.
fn whole(heading: &str, intro: &[String], plan: &Plan, sources: &Sources, of: Of) -> String {
    let mut page = Page::default();
    page.add(&format!("### {heading}\n"));
    for line in intro {
        if !page.add(&format!("\n{line}\n")) {
            page.leave(Left::Lines, 1);
        }
    }
    if summary::differs(plan) {
        let decision = summary::decision(plan) + &summary::notes(plan);
        page.add(&format!("\n**{}.**\n", escaped(&decision)));
        page.add(&format!("\n{}.\n", escaped(&summary::drift(plan, of))));
        page.add(&numbers(plan));
    } else {
        page.add(&format!("\n{}\n", escaped(&summary::summary(plan, of))));
    }
    for group in plan.lossy_groups() {
        if !page.add(&loss(&group)) {
            page.leave(Left::Losses, group.size());
        }
    }
    let groups = plan.groups(Grouping::Identical);
    let mut locator = Locator::new(sources);
    let (rare, common): (Vec<&Group<'_>>, Vec<&Group<'_>>) = groups
        .iter()
        .partition(|group| group.is_single() || group.differs.is_some());
    table(&mut page, &rare, &mut locator);
    for problem in &plan.problems {
        let what = escaped(&problem.what.to_string());
        if !page.add_notes(&format!("\n- **problem** {what}: {}\n", escaped(&problem.why))) {
            page.leave(Left::Problems, 1);
        }
    }
    for one in &plan.findings {
        if !page.add_notes(&finding(one)) {
            page.leave(Left::Findings, 1);
        }
    }
    table(&mut page, &common, &mut locator);
    details(&mut page, &groups);
    page.end()
}

/// The numbers of a plan as a table.
fn numbers(plan: &Plan) -> String {
    let counts = plan.counts();
    let destructive = plan.steps.iter().filter(|step| step.is_destructive()).count();
    let lossy = plan
        .steps
        .iter()
        .filter(|step| !step.undo.loses.is_empty())
        .count();
    let findings = match summary::severities(plan).as_slice() {
        [] => "0".to_owned(),
        severities => severities.join(", "),
    };
    let number = thousands;
    format!(
        "\n| objects | create | change | destroy | writes | destructive | without exact undo | findings | problems |\n\
         |---|---|---|---|---|---|---|---|---|\n\
         | {} | {} | {} | {} | {} | {} | {} | {findings} | {} |\n",
        number(counts.objects),
        number(counts.create),
        number(counts.change),
        number(counts.destroy),
        number(plan.steps.len()),
        number(destructive),
        number(lossy),
        number(plan.problems.len()),
    )
}

/// Steps that lose state.
fn loss(group: &LossyGroup<'_>) -> String {
    let step = group.first;
    let mut word = word(step).to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let loses: Vec<String> = step.undo.loses.iter().map(ToString::to_string).collect();
    let loses = escaped(&loses.join("; "));
    let permitted = match step.permitted {
        true => " (the document permits it)",
        false => " (apply needs `--allow-lossy`)",
    };
    let command = code(&step.op.to_string());
    match many(group) {
        Some(many) => format!(
            "\n**{word}:** {}{permitted}: for example {command} loses {loses}\n",
            escaped(&many)
        ),
        None => format!("\n**{word}:** {command}{permitted} loses {loses}\n"),
    }
}

fn finding(finding: &Finding) -> String {
    format!(
        "\n- **{} {}** {}: {}  \n  {}\n",
        finding.code.severity(),
        finding.code,
        escaped(&subjects(&finding.subjects)),
        escaped(&finding.message),
        escaped(&finding.remedy)
    )
}

/// The diff, folded.
fn details(page: &mut Page, groups: &[Group<'_>]) {
    let mut diffs = Vec::new();
    for group in groups {
        let diff = diff::of_group(group);
        diffs.push((group, diff));
    }
    let mut text = String::new();
    let mut left = Vec::new();
    for (group, diff) in diffs {
        if page.has_room(text.len() + diff.len() + 200) {
            text.push_str(&diff);
        } else {
            left.push(group);
        }
    }
    if !text.is_empty() {
        // A fence must be longer than any run of backticks in the file.
        let fence = "`".repeat(longest_run(&text).saturating_add(1).max(5));
        page.add(&format!(
            "\n<details><summary>diff</summary>\n\n{fence}diff\n{text}{fence}\n\n</details>\n"
        ));
    }
    for group in left {
        page.leave(Left::Diffs(noun(group.first.object)), group.size());
    }
}

/// The length of the longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or(0)
}

/// A command in backticks. A text with backticks needs more of them around it.
fn code(text: &str) -> String {
    let text = printable(text);
    match longest_run(&text) {
        0 => format!("`{text}`"),
        run => {
            let fence = "`".repeat(run + 1);
            format!("{fence} {text} {fence}")
        }
    }
}
