//! A plan as text for a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::diff::unified::unified;
use crate::paint::Paint;
use crate::wording::{by_object, count, file_text};
use netkeel_core::fact::{Field, Object, Value};
use netkeel_core::finding::{Code, Finding, Severity};
use netkeel_core::name::netns::Netns;
use netkeel_core::text::escape::printable;
use netkeel_plan::plan::{Drift, Plan, Step};
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;
use netkeel_source::span::Span;

/// The style of the output.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// Show the commands that an operator would type.
    pub commands: bool,
    /// The host that the plan is for.
    pub of: Of,
}

/// The host that a plan is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Of {
    /// The host on which netkeel runs.
    #[default]
    Here,
    /// Another network namespace, in which netkeel was started.
    Namespace,
    /// The network namespace in which netkeel was started: nothing tells whether it is the host's.
    Unknown,
    /// The host of a saved snapshot.
    Snapshot,
}

impl Of {
    /// The host for a summary: `this host`, `netns pod`, `saved snapshot`.
    fn place(self, netns: &Netns) -> String {
        match (self, netns.name()) {
            (Of::Namespace, None) => "this network namespace, which is not the host's".to_owned(),
            (Of::Unknown, None) => "this network namespace".to_owned(),
            (Of::Here | Of::Namespace | Of::Unknown, _) => netns.to_string(),
            (Of::Snapshot, Some(_)) => format!("saved snapshot, {netns}"),
            (Of::Snapshot, None) => "saved snapshot".to_owned(),
        }
    }
}

/// The plan as text.
pub fn plan(plan: &Plan, sources: &Sources, style: Style) -> String {
    let paint = Paint(style.colour);
    let mut out = String::new();
    let mut locator = Locator::new(sources);
    let mut words: BTreeMap<Field, String> = BTreeMap::new();
    let mut lines: BTreeMap<Line<'_>, String> = BTreeMap::new();
    for (object, drift) in by_object(plan) {
        let _ = writeln!(out, "  {}", paint.bold(object));
        let mut width = 0;
        for field in drift.iter().map(|drift| drift.fact.field) {
            let word = words.entry(field).or_insert_with(|| field.to_string());
            width = width.max(word.len());
        }
        for drift in drift {
            if drift.fact.field == Field::Content {
                out.push_str(&file(drift, paint));
                continue;
            }
            let line = lines.entry(Line::of(drift, width));
            out.push_str(line.or_insert_with(|| line_of(drift, width, &mut locator, paint)));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&lossy(plan, paint));
    out.push_str(&findings(&plan.findings, paint));
    if style.commands && !plan.steps.is_empty() {
        let _ = writeln!(out, "{}", paint.bold("Commands"));
        for step in &plan.steps {
            let _ = writeln!(out, "  {}{}", step.op, because(step, paint));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{}", summary(plan, style.of));
    out
}

/// Everything that determines a fact's line. The lines of a thousand interfaces that one match finds are
/// equal, so each line is built once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line<'a> {
    field: Field,
    /// `None` for an interface, whose name is not part of the line. Other objects may format a value
    /// differently.
    object: Option<&'a Object>,
    observed: Option<&'a Value>,
    desired: Option<&'a Value>,
    /// `None` for a fact that is released, since no document names it.
    span: Option<Span>,
    derivation: Option<&'a str>,
    width: usize,
}

impl<'a> Line<'a> {
    fn of(drift: &'a Drift, width: usize) -> Self {
        Line {
            field: drift.fact.field,
            object: Some(&drift.fact.object).filter(|object| !matches!(object, Object::Link(_))),
            observed: drift.observed.as_ref(),
            desired: drift.desired.as_ref(),
            span: (!drift.origin.path.is_empty()).then_some(drift.origin.span),
            derivation: drift.origin.derivation.as_deref(),
            width,
        }
    }
}

fn line_of(drift: &Drift, width: usize, locator: &mut Locator<'_>, paint: Paint) -> String {
    let no_rules = drift.fact.field == Field::Rules && drift.desired.as_ref().is_none_or(Value::is_no_rules);
    let sign = if drift.desired.is_none() || no_rules {
        paint.red("-")
    } else if is_there(drift) {
        paint.yellow("~")
    } else {
        paint.green("+")
    };
    let field = drift.fact.field.to_string();
    let change = change(drift);
    let place = if drift.origin.path.is_empty() {
        String::new()
    } else {
        paint.dim(locator.locate(drift.origin.span))
    };
    let mut line = format!("    {sign} {field:width$}  {change:28}  {place}");
    if let Some(derivation) = &drift.origin.derivation {
        let _ = write!(line, "  {}", paint.dim(derivation));
    }
    line.push('\n');
    line
}

/// The summary of a plan in one line: the output of `check`, and the last line of a plan.
pub fn summary(plan: &Plan, of: Of) -> String {
    let place = of.place(&plan.netns);
    let notes = match plan.findings.len() {
        0 => String::new(),
        number => format!("; {}", count(number, "finding")),
    };
    let stale = stale(plan);
    if plan.drift.is_empty() && !plan.problems.is_empty() {
        return format!(
            "Not in sync: {}; otherwise nothing differs of {}{stale} ({place}){notes}.",
            problems(plan),
            count(plan.wanted, "declared fact"),
        );
    }
    if plan.in_sync() {
        return format!(
            "In sync: {} as declared{stale} ({place}){notes}.",
            count(plan.wanted, "fact")
        );
    }
    let objects = by_object(plan).count();
    let inexact = plan
        .steps
        .iter()
        .filter(|step| !step.undo.loses.is_empty())
        .count();
    let undo = if inexact == 0 {
        "all with exact undo".to_owned()
    } else {
        format!("{inexact} without exact undo")
    };
    let notes = match plan.problems.len() {
        0 => notes,
        _ => format!("{notes}; {}", problems(plan)),
    };
    format!(
        "Drift: {}{stale}, on {} ({place}); {}, {undo}{notes}.",
        facts(plan),
        count(objects, "object"),
        count(plan.steps.len(), "write"),
    )
}

fn problems(plan: &Plan) -> String {
    count(plan.problems.len(), "problem")
}

/// The number of skipped pods that differ, as text. Findings name them.
fn stale(plan: &Plan) -> String {
    let left = plan.findings.iter().filter(|finding| finding.code == Code::NK045);
    let pods: BTreeSet<&String> = left.flat_map(|finding| &finding.subjects).collect();
    match pods.len() {
        0 => String::new(),
        number => format!(", {} stale and skipped", count(number, "pod")),
    }
}

/// The number of declared facts that differ, and of other facts that are released, as text.
fn facts(plan: &Plan) -> String {
    let declared = plan
        .drift
        .iter()
        .filter(|drift| !drift.origin.path.is_empty())
        .count();
    let back = plan.drift.len() - declared;
    match (back, plan.wanted) {
        (0, wanted) => format!("{declared} of {}", count(wanted, "declared fact")),
        (back, 0) => format!("{} to give back", count(back, "fact")),
        (back, wanted) => format!(
            "{declared} of {}, {back} to give back",
            count(wanted, "declared fact")
        ),
    }
}

/// Whether the object existed before, as far as one fact shows.
fn is_there(drift: &Drift) -> bool {
    match &drift.observed {
        None => false,
        Some(Value::Switch(false)) => drift.fact.field == Field::Up,
        Some(value) => !value.is_no_rules(),
    }
}

/// The change of a value: `1500 -> 1460`, or only the new value of a new object.
fn change(drift: &Drift) -> String {
    let (observed, desired) = drift.shown();
    match &drift.observed {
        None => desired,
        Some(_) => format!("{observed} -> {desired}"),
    }
}

fn file(drift: &Drift, paint: Paint) -> String {
    let (old, new) = (file_text(&drift.observed), file_text(&drift.desired));
    let mut out = String::new();
    for line in unified(old, new, "now", "wanted").lines().skip(2) {
        let line = match line.as_bytes().first() {
            Some(b'+') => paint.green(line),
            Some(b'-') => paint.red(line),
            _ => paint.dim(line),
        };
        let _ = writeln!(out, "    {line}");
    }
    out
}

/// The steps that lose state, with their losses.
fn lossy(plan: &Plan, paint: Paint) -> String {
    let mut out = String::new();
    for step in plan.steps.iter().filter(|step| !step.undo.loses.is_empty()) {
        let word = match step.op {
            netkeel_core::op::Op::RecreateTunnel { .. } | netkeel_core::op::Op::DeleteLink { .. } => {
                "destructive"
            }
            _ => "lossy",
        };
        let permitted = if step.permitted {
            " (the document permits it)"
        } else {
            "; apply needs --allow-lossy"
        };
        let _ = writeln!(out, "{} {}{permitted}", paint.red(format!("{word}:")), step.op);
        for lost in &step.undo.loses {
            let _ = writeln!(out, "  loses {}", printable(&lost.to_string()));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// Findings with their remedies.
pub fn findings(findings: &[Finding], paint: Paint) -> String {
    let mut out = String::new();
    for finding in findings {
        let severity = finding.code.severity();
        let head = format!("{severity} {}", finding.code);
        let head = match severity {
            Severity::Error => paint.red(head),
            Severity::Warning => paint.yellow(head),
            Severity::Note => paint.bold(head),
        };
        let (subjects, message) = (subjects(&finding.subjects), printable(&finding.message));
        let _ = writeln!(out, "{head} {}: {message}", printable(&subjects));
        let _ = writeln!(out, "  {}", paint.dim(printable(&finding.remedy)));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// The first few subjects of a finding, which may have thousands.
pub(crate) fn subjects(subjects: &[String]) -> String {
    const SHOWN: usize = 4;
    let first = subjects
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match subjects.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn because(step: &Step, paint: Paint) -> String {
    if step.restores {
        paint.dim("  # another write changes this value")
    } else {
        String::new()
    }
}
