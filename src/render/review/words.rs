//! The words for the groups of a review.

use crate::plan::words::{Noun, joined, noun, number_of};
use crate::review::title::Title;
use crate::wording::{count_thousands, thousands};
use netkeel_core::fact::{Field, Value};
use netkeel_core::finding::Finding;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::review::class::{After, Before, Class, FieldChange, FieldOf};
use netkeel_diagnose::review::effect::{Effect, Example, Line, field_name};
use netkeel_diagnose::review::fleet::{Review, Unplanned};
use netkeel_diagnose::review::group::{Group, Hosts, Risk};
use netkeel_plan::plan::Drift;
use netkeel_plan::plan::count::Action;
use netkeel_plan::plan::groups::member::Member;

/// Names of hosts are listed up to this length in characters.
const NAMES: usize = 140;

const HOST: Noun = ("host", "hosts");

/// `1 host`, `9,840 hosts`.
pub(super) fn hosts(number: usize) -> String {
    number_of(number, HOST)
}

/// The names of hosts, and the number of those that are left out.
pub(super) fn names(hosts: &Hosts) -> String {
    let mut out = String::new();
    let mut left = hosts.names.dropped();
    let mut is_full = false;
    for folded in hosts.names.folded_within(NAMES) {
        let name = printable(&folded.text);
        is_full |= !out.is_empty() && out.len() + name.len() > NAMES;
        if is_full {
            left = left.saturating_add(folded.count);
            continue;
        }
        left = left.saturating_add(folded.left_out);
        if !out.is_empty() {
            out.push_str(", ");
        }
        out.push_str(&name);
    }
    match left {
        0 => out,
        left => format!("{out} and {} more", thousands(left)),
    }
}

/// The number of hosts in each stage: `staging 120, canary 40`. Empty without stages.
pub(super) fn stages(hosts: &Hosts, title: Title<'_>) -> String {
    let stages = hosts.stages.iter().filter_map(|(stage, number)| {
        let name = title.stages.get(*stage)?;
        Some(format!("{} {}", printable(name), thousands(*number)))
    });
    stages.collect::<Vec<_>>().join(", ")
}

/// The object, or the number of objects on a host with their pattern.
pub(super) fn objects(class: &Class, effect: &Effect) -> String {
    if let Some(object) = class.subject.named().or_else(|| effect.only()) {
        return object.to_string();
    }
    let noun = noun(&effect.names.0);
    let number = match effect.on_a_host {
        (least, most) if least == most => number_of(least, noun),
        (least, most) => format!("{} to {} {}", thousands(least), thousands(most), noun.1),
    };
    match effect.pattern() {
        Some(pattern) => format!("{number} {pattern}"),
        None => number,
    }
}

/// The effect on an object.
pub(super) fn action(class: &Class, effect: &Effect) -> Action {
    let changes = class.changes.iter().zip(&effect.examples);
    let drift: Vec<Drift> = changes.map(|(change, example)| drift(change, example)).collect();
    let member = Member {
        object: &effect.names.0,
        changes: &drift,
    };
    member.action()
}

fn drift(change: &FieldChange, example: &Example) -> Drift {
    let observed = match &change.before {
        Before::Value(value) => Some(value.clone()),
        // It exists, with a value that is not known here.
        Before::Various | Before::Unread => Some(Value::Switch(true)),
        Before::Absent => None,
    };
    let desired = match &change.after {
        After::Value(value) => Some(value.clone()),
        After::Absent => None,
        After::GivenBack if change.field == FieldOf::Exact(Field::Kind) => None,
        After::NoLongerDeclared | After::GivenBack => observed.clone(),
    };
    Drift {
        fact: example.fact.clone(),
        observed,
        desired,
        origin: Default::default(),
        cause: None,
    }
}

/// The name of the field; empty for the value of a sysctl, which has no other field.
fn label(change: &FieldChange, example: &Example) -> String {
    match example.fact.field {
        Field::Value => String::new(),
        _ => field_name(change.field),
    }
}

/// The change of a field by its number: `mtu 1500 -> 1460`.
pub(super) fn change(number: usize, change: &FieldChange, effect: &Effect) -> String {
    let Some(example) = effect.examples.get(number) else {
        return String::new();
    };
    let fact = &example.fact;
    let old = match &change.before {
        Before::Value(value) => Some(value),
        Before::Absent | Before::Unread | Before::Various => None,
    };
    let new = match &change.after {
        After::Value(value) => Some(value),
        After::Absent => None,
        After::NoLongerDeclared | After::GivenBack => old,
    };
    let (mut before, mut text) = fact.summaries(old, new);
    match &change.before {
        Before::Unread => before = "not read".to_owned(),
        Before::Various => before = various(effect.range(number)),
        Before::Value(_) | Before::Absent => {}
    }
    text = match (&change.after, &change.before) {
        (After::NoLongerDeclared, _) => format!("no longer declared: keeps {before}"),
        // A device has no value before netkeel: the ledger has whether netkeel made it.
        (After::GivenBack, _) if fact.field == Field::Kind => {
            "no longer declared: netkeel removes it if it made it".to_owned()
        }
        (After::GivenBack, _) => {
            format!("no longer declared: from {before} back to the value before netkeel")
        }
        (After::Value(_) | After::Absent, Before::Absent) => text,
        (After::Value(_) | After::Absent, Before::Value(_) | Before::Unread | Before::Various) => {
            format!("{before} -> {text}")
        }
    };
    printable(&joined(&label(change, example), text)).into_owned()
}

fn various(range: Option<(i64, i64)>) -> String {
    match range {
        Some((least, most)) => format!("{least}..{most}"),
        None => "different values".to_owned(),
    }
}

/// The changes of the objects of a class, each with its line.
pub(super) fn changes(class: &Class, effect: &Effect) -> Vec<(String, Option<Line>)> {
    let changes = class.changes.iter().enumerate();
    let mut shown: Vec<(String, Option<Line>)> = changes
        .map(|(number, one)| {
            let line = effect
                .examples
                .get(number)
                .and_then(|example| example.line.clone());
            (change(number, one, effect), line)
        })
        .collect();
    if shown.is_empty() {
        shown.push(("written again, because another write changes it".to_owned(), None));
    }
    shown
}

/// A line of a document: `site.yaml:7`.
pub(super) fn line(line: &Line) -> String {
    let old = if line.is_old { " (old)" } else { "" };
    format!("{}:{}{old}", printable(&line.file), line.number)
}

/// The lines of all changes, each once, in the order of the changes.
pub(super) fn places(changes: &[(String, Option<Line>)]) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for place in changes.iter().filter_map(|(_, at)| at.as_ref()).map(line) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// The line that all changes share.
pub(super) fn shared_line(changes: &[(String, Option<Line>)]) -> Option<&Line> {
    let (_, first) = changes.first()?;
    let all = changes.iter().all(|(_, line)| line == first);
    first.as_ref().filter(|_| all)
}

/// The risk of a class; `None` for one whose writes can be undone.
pub(super) fn risk(class: &Class) -> Option<&'static str> {
    match class {
        class if class.destroys => Some("destructive"),
        class if class.loses() => Some("lossy"),
        _ => None,
    }
}

/// The losses of the first object, to follow the risk. If other objects lose other state, it is an example of the
/// first host.
pub(super) fn losses(effect: &Effect, group: &Group) -> String {
    let losses = effect.losses.iter();
    let losses: Vec<String> = losses
        .map(|loss| printable(&loss.to_string()).into_owned())
        .collect();
    let losses = losses.join("; ");
    let first = group.hosts.names.first().map(printable).unwrap_or_default();
    match (effect.losses_vary, effect.total.saturating_sub(1)) {
        (_, _) if losses.is_empty() => String::new(),
        (false, _) => format!(": loses {losses}"),
        (true, 0 | 1) => {
            format!(", for example on {first}: loses {losses}; the losses of the other object differ")
        }
        (true, others) => format!(
            ", for example on {first}: loses {losses}; the losses of the other {} objects vary",
            thousands(others)
        ),
    }
}

/// The findings, each with its hosts if not all hosts of the group have it.
pub(super) fn findings(group: &Group) -> Vec<Finding> {
    let all = group.hosts.count();
    let kept = group.findings.values().flat_map(|found| &found.kept);
    let findings = kept.map(|(finding, on)| {
        let mut finding = finding.clone();
        if on.hosts < all {
            let number = format!("on {} of {}", thousands(on.hosts), hosts(all));
            finding.message = match on.hosts {
                1 => format!("{} ({number}: {})", finding.message, on.first),
                _ => format!("{} ({number}, such as {})", finding.message, on.first),
            };
        }
        finding
    });
    findings.collect()
}

/// The findings that are left out: `and 7 more NK013 on these hosts`.
pub(super) fn findings_left_out(group: &Group) -> Vec<String> {
    let left = group
        .findings
        .iter()
        .map(|(code, found)| (code, found.left_out()));
    let left = left.filter(|(_, number)| *number > 0);
    left.map(|(code, number)| format!("and {} more {code} on these hosts", thousands(number)))
        .collect()
}

/// The parts of the document that change and are no facts of a host, if any.
pub(super) fn parts(group: &Group) -> Option<String> {
    let parts: Vec<String> = group.parts.iter().map(ToString::to_string).collect();
    (!parts.is_empty()).then(|| format!("also changes: {}", printable(&parts.join(", "))))
}

/// Whether the group needs a decision.
pub(super) fn is_risky(group: &Group) -> bool {
    group.risk() != Risk::None
}

/// The reason for which hosts have no change.
pub(super) fn unplanned(why: Unplanned) -> &'static str {
    match why {
        Unplanned::New => "cannot be planned: the new document is refused",
        Unplanned::Old => "cannot be compared: the old document is refused",
        Unplanned::Snapshot => "cannot be planned: the snapshot cannot be read",
        Unplanned::Document => "cannot be planned: the inventory has no valid document for it",
        Unplanned::Missing => "cannot be planned: the inventory names it, and it has no snapshot",
    }
}

/// The last line, with the numbers that a person decides by.
pub(super) fn decision(review: &Review, title: Title<'_>) -> String {
    let ways = review.groups.len();
    let mut parts = vec![match ways {
        0 => format!("no change on {}", hosts(review.hosts() - review.failed())),
        ways => format!(
            "{} of {} change in {}",
            thousands(review.changed()),
            hosts(review.hosts()),
            count_thousands(ways, "way")
        ),
    }];
    if ways == 0 && title.differ {
        parts.push("the documents differ in entries that have no effect on them".to_owned());
    }
    let destroys = review.hosts_with(|group| group.effects.keys().any(|class| class.destroys));
    let loses = review.hosts_with(|group| group.effects.keys().any(Class::loses));
    let findings = review.hosts_with(|group| !group.findings.is_empty());
    let numbers = [
        (destroys, "destructive on"),
        (loses, "lossy on"),
        (findings, "new findings on"),
    ];
    for (number, what) in numbers.into_iter().filter(|(number, _)| *number > 0) {
        parts.push(format!("{what} {}", hosts(number)));
    }
    if review.failed() > 0 {
        parts.push(format!("{} not planned", hosts(review.failed())));
    }
    format!("Review: {}", parts.join("; "))
}
