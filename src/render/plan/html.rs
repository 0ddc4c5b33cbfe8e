//! A plan as one HTML page.

use crate::html::page as html;
use crate::html::page::{Figure, escaped, figures, filter, table};
use crate::path::compared::Compared;
use crate::plan::diff;
use crate::plan::of::Of;
use crate::plan::place::Place;
use crate::plan::{lossy, summary, words};
use crate::review::html::{finding_list, meaning};
use netkeel_core::fact::Field;
use netkeel_plan::plan::Plan;
use netkeel_plan::plan::groups::lossy::LossyGroup;
use netkeel_plan::plan::groups::{Group, Grouping, pattern};
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;

/// The page. `paths` are those of the host before and after the plan.
pub fn plan(plan: &Plan, sources: &Sources, of: Of, paths: &Compared) -> String {
    let mut body = String::new();
    let differs = summary::differs(plan);
    let about = match differs {
        true => format!("{}.", summary::drift(plan, of)),
        false => summary::summary(plan, of),
    };
    body.push_str(&format!("<p class=\"about\">{}</p>\n", escaped(&about)));
    if differs {
        body.push_str(&figures(&numbers(plan)));
    }
    for group in plan.lossy_groups() {
        body.push_str(&loss(&group));
    }
    let problems: Vec<Vec<String>> = plan
        .problems
        .iter()
        .map(|problem| vec![escaped(&problem.what.to_string()), escaped(&problem.why)])
        .collect();
    if !problems.is_empty() {
        body.push_str("<h2>Not read</h2>\n");
        body.push_str(&table(&["part of the host", "reason"], &problems));
    }
    if !plan.findings.is_empty() {
        body.push_str("<h2>Findings</h2>\n");
        body.push_str(&finding_list(&plan.findings));
    }
    let groups = plan.groups(Grouping::Identical);
    let mut locator = Locator::new(sources);
    if !groups.is_empty() {
        body.push_str("<h2>Changes</h2>\n");
        body.push_str(filter());
    }
    for group in &groups {
        body.push_str(&self::group(group, &mut locator));
    }
    let drawing = paths.html();
    if !drawing.is_empty() {
        body.push_str(&format!("<h2>Paths of packets</h2>\n{drawing}"));
    }
    html::page("netkeel plan", &body)
}

fn numbers(plan: &Plan) -> Vec<Figure> {
    let counts = plan.counts();
    let destructive = plan.steps.iter().filter(|step| step.is_destructive()).count();
    let inexact = plan
        .steps
        .iter()
        .filter(|step| !step.undo.loses.is_empty())
        .count();
    vec![
        Figure::count(counts.objects, ("object", "objects"), false),
        Figure::count(counts.create, ("to create", "to create"), false),
        Figure::count(counts.change, ("to change", "to change"), false),
        Figure::count(counts.destroy, ("to destroy", "to destroy"), false),
        Figure::count(plan.steps.len(), ("write", "writes"), false),
        Figure::count(destructive, ("destructive", "destructive"), true),
        Figure::count(inexact, ("without exact undo", "without exact undo"), true),
        Figure::count(plan.findings.len(), ("finding", "findings"), true),
        Figure::count(plan.problems.len(), ("problem", "problems"), true),
    ]
}

/// Steps that lose state.
fn loss(group: &LossyGroup<'_>) -> String {
    let step = group.first;
    let what = lossy::many(group).map_or(String::new(), |many| format!("{many}: for example "));
    let loses: Vec<String> = step.undo.loses.iter().map(ToString::to_string).collect();
    let permitted = match step.permitted {
        true => "the document permits it",
        false => "apply needs --allow-lossy",
    };
    format!(
        "<p><span class=\"loss\">{}</span> {}<code>{}</code> ({permitted}) loses {}</p>\n",
        lossy::word(step),
        escaped(&what),
        escaped(&step.op.to_string()),
        escaped(&loses.join("; "))
    )
}

/// A group: its changes, its names and its diff.
fn group(group: &Group<'_>, locator: &mut Locator<'_>) -> String {
    let action = group.first.action();
    let mut rows = Vec::new();
    let mut short = Vec::new();
    for (number, drift) in group.first.changes.iter().enumerate() {
        let place = Place::of_change(number, group, locator);
        let place = place.map(|place| escaped(&place.to_string())).unwrap_or_default();
        let text = match drift.fact.field {
            Field::Content => "content".to_owned(),
            _ => words::short_change(number, group),
        };
        let derivation = drift.origin.derivation.as_deref().map_or(String::new(), |text| {
            format!("<br><span class=\"note\">{}</span>", escaped(text))
        });
        rows.push(vec![format!("{}{derivation}", escaped(&text)), place]);
        short.push(text);
    }
    let summary = format!(
        "{} {}  {}",
        html::sign(action.sign(), meaning(action)),
        escaped(&words::title(group)),
        escaped(&short.join(", "))
    );
    let mut body = table(&["change", "declared at"], &rows);
    let differs = group.differs.as_ref().and_then(words::difference);
    for text in words::causes(group).into_iter().chain(differs) {
        body.push_str(&format!("<p class=\"note\">{}</p>\n", escaped(&text)));
    }
    if !group.is_single() {
        let names: Vec<String> = group
            .members()
            .map(|member| pattern::name(member.object))
            .collect();
        body.push_str(&format!(
            "<p class=\"names\">{}</p>\n",
            escaped(&names.join(", "))
        ));
    }
    let is_file = group
        .first
        .changes
        .iter()
        .any(|drift| drift.fact.field == Field::Content);
    if is_file {
        body.push_str(&format!("<pre>{}</pre>\n", lines(&diff::of_group(group))));
    }
    html::group(
        is_file || group.is_single(),
        group.differs.is_some(),
        &summary,
        &body,
    )
}

/// A diff with its added and removed lines marked.
fn lines(diff: &str) -> String {
    diff.lines()
        .map(|line| {
            let text = escaped(line);
            match line.as_bytes().first() {
                Some(b'+') => format!("<ins>{text}</ins>\n"),
                Some(b'-') => format!("<del>{text}</del>\n"),
                _ => format!("{text}\n"),
            }
        })
        .collect()
}
