//! A plan as text for a terminal.

use std::fmt::Write as _;

use crate::findings;
use crate::paint::Paint;
use crate::plan::entry::{Entry, WIDTH};
use crate::plan::of::Of;
use crate::plan::{beside, lossy, summary};
use crate::wording::wrap::wrap;
use netkeel_plan::plan::groups::{Group, Grouping};
use netkeel_plan::plan::{Plan, Step};
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;

/// The style of the output.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// Show the commands that an operator would type.
    pub commands: bool,
    /// Show every object, also those with the changes of another one.
    pub full: bool,
    /// The host that the plan is for.
    pub of: Of,
}

impl Style {
    /// Whether objects with identical changes are put together.
    pub fn grouping(self) -> Grouping {
        match self.full {
            true => Grouping::Single,
            false => Grouping::Identical,
        }
    }
}

/// The plan as text: the number of differences, losses, objects of their own, findings, groups, and at the end
/// the numbers that a person decides by.
pub fn plan(plan: &Plan, sources: &Sources, style: Style) -> String {
    let paint = Paint(style.colour);
    let findings = findings::wrapped(&plan.findings, paint, WIDTH);
    if !summary::differs(plan) {
        // One line, as `check` prints it.
        return format!("{findings}{}\n", summary::summary(plan, style.of));
    }
    let drift = format!("{}.", summary::drift(plan, style.of));
    let mut out = format!("{}\n\n", wrap(&drift, 0, 2, WIDTH));
    out.push_str(&lossy::text(plan, paint));
    let groups = plan.groups(style.grouping());
    let (rare, common): (Vec<&Group<'_>>, Vec<&Group<'_>>) = groups
        .iter()
        .partition(|group| group.is_single() || group.differs.is_some());
    let mut locator = Locator::new(sources);
    out.push_str(&entries(&rare, &mut locator, paint));
    out.push_str(&findings);
    out.push_str(&entries(&common, &mut locator, paint));
    out.push_str(&beside::text(plan));
    if style.commands && !plan.steps.is_empty() {
        let _ = writeln!(out, "{}", paint.bold("Commands"));
        for step in &plan.steps {
            let _ = writeln!(out, "  {}{}", step.op, because(step, paint));
        }
        out.push('\n');
    }
    out.push_str(&end(plan));
    out
}

/// Groups as text, with an empty line at the end.
fn entries(groups: &[&Group<'_>], locator: &mut Locator<'_>, paint: Paint) -> String {
    let entries: Vec<Entry<'_>> = groups.iter().map(|group| Entry::new(group, locator)).collect();
    let width = entries.iter().map(Entry::width).max().unwrap_or(0);
    let mut out: String = entries.iter().map(|entry| entry.lines(width, paint)).collect();
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// The writes and, in one line, the numbers to decide by. Programs read the last line.
fn end(plan: &Plan) -> String {
    let (writes, decision) = (summary::writes(plan), summary::decision(plan));
    let notes = summary::notes(plan);
    // With the full stop.
    let length = decision.chars().count() + notes.chars().count() + 1;
    match length > WIDTH {
        true => format!("{writes}{notes}.\n{decision}.\n"),
        false => format!("{writes}.\n{decision}{notes}.\n"),
    }
}

fn because(step: &Step, paint: Paint) -> String {
    if step.restores {
        paint.dim("  # another write changes this value")
    } else {
        String::new()
    }
}
