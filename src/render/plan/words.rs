//! The words for a group: its title, its changes, and the reasons for them.

use std::fmt::Display;

use crate::wording::thousands;
use crate::wording::utc::utc;
use netkeel_core::fact::{Field, Object};
use netkeel_plan::plan::Drift;
use netkeel_plan::plan::cause::{Cause, Side};
use netkeel_plan::plan::count::Action;
use netkeel_plan::plan::groups::difference::Difference;
use netkeel_plan::plan::groups::{Group, pattern};

/// All names of a group are listed up to this length in characters; of a longer list the first and the last.
const NAMES: usize = 140;

/// All names of a group of named objects are listed up to this number of objects.
const NAMED: usize = 64;

/// The object, or the number of objects with their pattern: `1,002 links cali*`.
pub(super) fn title(group: &Group<'_>) -> String {
    match group.size() {
        1 => group.first.object.to_string(),
        number => title_of(number, group.first.object, group.pattern()),
    }
}

/// The title of several objects of the kind of `object`.
pub(crate) fn title_of(number: usize, object: &Object, pattern: Option<String>) -> String {
    let title = number_of(number, noun(object));
    match pattern {
        Some(pattern) => format!("{title} {pattern}"),
        None => title,
    }
}

/// The kind of an object as a noun: one and several.
pub(crate) type Noun = (&'static str, &'static str);

/// The kind of an object as a noun.
pub(crate) fn noun(object: &Object) -> Noun {
    match object {
        Object::File(_) => ("file", "files"),
        Object::Plugin(_) => ("CNI plugin", "CNI plugins"),
        Object::Wireguard(_) => ("WireGuard configuration", "WireGuard configurations"),
        Object::Sysctl(_) => ("sysctl", "sysctls"),
        Object::Link(_) => ("link", "links"),
        Object::Nflog(_) => ("nflog entry", "nflog entries"),
        Object::LogGroup(_) => ("nflog group", "nflog groups"),
    }
}

/// A number of objects: `1 link`, `1,002 links`.
pub(crate) fn number_of(number: usize, (one, several): Noun) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{} {several}", thousands(number)),
    }
}

/// The names of a group: all of a short list, otherwise the first and the last. The second value is false if
/// names are left out.
pub(super) fn names(group: &Group<'_>) -> (String, bool) {
    let names: Vec<String> = group
        .members()
        .map(|member| pattern::name(member.object))
        .collect();
    let length: usize = names.iter().map(|name| name.chars().count() + 2).sum();
    let all = length <= NAMES || (group.is_named && names.len() <= NAMED);
    match (names.first(), names.last()) {
        (Some(first), Some(last)) if !all => (format!("{first} ... {last}"), false),
        _ => (names.join(", "), true),
    }
}

/// As [`field`], but empty for the value of a sysctl, which has no other field.
pub(super) fn label(number: usize, group: &Group<'_>) -> String {
    match group.first.changes.get(number).map(|drift| drift.fact.field) {
        Some(Field::Value) => String::new(),
        _ => field(number, group),
    }
}

/// The name of the changed field, by its number.
pub(crate) fn field(number: usize, group: &Group<'_>) -> String {
    let mut fields = changes(number, group).map(|drift| drift.fact.field);
    match fields.next() {
        None => String::new(),
        Some(first) if fields.all(|field| field == first) => first.to_string(),
        Some(first) => pattern::field(first).to_owned(),
    }
}

/// The changes of one field of all objects of a group, by the field's number.
fn changes<'a>(number: usize, group: &Group<'a>) -> impl Iterator<Item = &'a Drift> {
    // The objects of a group whose values do not vary have the same changes.
    let members = if group.varies { group.size() } else { 1 };
    let members: Vec<&[Drift]> = group
        .members()
        .take(members)
        .map(|member| member.changes)
        .collect();
    members.into_iter().filter_map(move |changes| changes.get(number))
}

/// The change of a value: `1500 -> 1460`, or only the new value of a new object. Different numbers are shown as
/// a range: `1500..9000 -> 1460`.
pub(super) fn change(number: usize, group: &Group<'_>) -> String {
    let Some(first) = group.first.changes.get(number) else {
        return String::new();
    };
    let (observed, desired) = values(number, group);
    arrow(first, observed, desired)
}

/// The old and the new value of a field. Different old values are shown as a range.
pub(super) fn values(number: usize, group: &Group<'_>) -> (String, String) {
    let mut all = changes(number, group);
    let Some(first) = all.next() else {
        return (String::new(), String::new());
    };
    let (observed, desired) = first.shown();
    (varied(first, all).unwrap_or(observed), desired)
}

/// The change with the name of the field, in one short line: `mtu 1500 -> 1460`.
pub(super) fn short_change(number: usize, group: &Group<'_>) -> String {
    let mut all = changes(number, group);
    let Some(first) = all.next() else {
        return String::new();
    };
    let (before, after) = first
        .fact
        .summaries(first.observed.as_ref(), first.desired.as_ref());
    let change = arrow(first, varied(first, all).unwrap_or(before), after);
    joined(&label(number, group), change)
}

fn arrow(drift: &Drift, before: String, after: String) -> String {
    match &drift.observed {
        None if drift.action() == Action::Create => after,
        _ => format!("{before} -> {after}"),
    }
}

/// Whether the objects of a group have different old values of a field.
pub(crate) fn has_various(number: usize, group: &Group<'_>) -> bool {
    let mut all = changes(number, group).map(|drift| &drift.observed);
    let first = all.next();
    all.any(|observed| Some(observed) != first)
}

/// The different old values as text; `None` if all are equal.
fn varied<'a>(first: &Drift, others: impl Iterator<Item = &'a Drift>) -> Option<String> {
    let others: Vec<&Drift> = others.collect();
    if others.iter().all(|drift| drift.observed == first.observed) {
        return None;
    }
    let all = std::iter::once(first).chain(others);
    let numbers: Option<Vec<i64>> = all.map(|drift| drift.observed.as_ref()?.number()).collect();
    let numbers = numbers.unwrap_or_default();
    Some(match (numbers.iter().min(), numbers.iter().max()) {
        (Some(least), Some(most)) => format!("{least}..{most}"),
        _ => "different values".to_owned(),
    })
}

/// Two words with a blank, or only the second one if the first is empty.
pub(crate) fn joined(label: &str, text: impl Display) -> String {
    match label {
        "" => text.to_string(),
        label => format!("{label} {text}"),
    }
}

/// The cause of a change that all objects of a group share, by its number, with the earliest time.
pub(crate) fn cause(number: usize, group: &Group<'_>) -> Option<Cause> {
    let changes = group.members().filter_map(|member| member.changes.get(number));
    let mut causes = changes.filter_map(|drift| drift.cause);
    let first = causes.next()?;
    let causes: Vec<Cause> = causes.collect();
    if causes.iter().any(|cause| cause.changed != first.changed) {
        return None;
    }
    // A record without a time may be older than all others.
    let written = causes
        .iter()
        .map(|cause| cause.written)
        .fold(first.written, Option::min);
    Some(Cause { written, ..first })
}

/// The side that changed since netkeel wrote the fact.
pub(super) fn cause_words(cause: Cause) -> String {
    let since = match cause.written {
        Some(seconds) => format!("changed on the host since {}", utc(seconds)),
        None => "changed on the host".to_owned(),
    };
    match cause.changed {
        Side::Document => "document changed".to_owned(),
        Side::Host => since,
        Side::Both => format!("document changed, and {since}"),
    }
}

/// The causes of the changes of a group: one sentence if all share it, otherwise one for each field.
pub(super) fn causes(group: &Group<'_>) -> Vec<String> {
    let fields = group.first.changes.iter().enumerate();
    let causes: Vec<_> = fields
        .map(|(number, drift)| (drift.fact.field, cause(number, group)))
        .collect();
    let first = causes.first().and_then(|(_, cause)| *cause);
    if causes.iter().all(|(_, cause)| *cause == first) {
        return first.into_iter().map(cause_words).collect();
    }
    let known = causes
        .into_iter()
        .filter_map(|(field, cause)| Some((field, cause?)));
    known
        .map(|(field, cause)| format!("{field}: {}", cause_words(cause)))
        .collect()
}

/// The difference of an outlier to its group; `None` if only the cause differs.
pub(super) fn difference(difference: &Difference<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for (drift, usual) in &difference.other_values {
        let (is, should) = drift.shown();
        let (usual_is, usual_should) = usual.shown();
        let (verb, value, other) = match is == usual_is {
            false => ("is", is, usual_is),
            true => ("becomes", should, usual_should),
        };
        parts.push(joined(
            &drift.fact.field.to_string(),
            format!("{verb} {value}, not {other}"),
        ));
    }
    let fields = |changes: &[&Drift]| {
        let fields = changes.iter().map(|drift| drift.fact.field.to_string());
        fields.collect::<Vec<_>>().join(", ")
    };
    if !difference.added.is_empty() {
        parts.push(format!("{} changes too", fields(&difference.added)));
    }
    if !difference.missing.is_empty() {
        parts.push(format!("{} does not change", fields(&difference.missing)));
    }
    (!parts.is_empty()).then(|| format!("differs from its group: {}", parts.join("; ")))
}
