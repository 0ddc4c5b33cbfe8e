//! Groups as rows of a table.

use std::collections::BTreeMap;

use crate::plan::markdown::escape::escaped;
use crate::plan::markdown::page::{Left, Page};
use crate::plan::place::Place;
use crate::plan::words;
use netkeel_core::fact::Field;
use netkeel_plan::plan::groups::Group;
use netkeel_source::report::location::Locator;

/// A table of groups; groups that do not fit are noted by kind and number. Kinds with few rows then come first.
pub(super) fn table(page: &mut Page, groups: &[&Group<'_>], locator: &mut Locator<'_>) {
    if groups.is_empty() {
        return;
    }
    let head = "\n| object | changes | declared at |\n|---|---|---|\n";
    let rows = groups.iter().map(|group| (*group, row(group, locator)));
    let mut rows: Vec<(&Group<'_>, String)> = rows.collect();
    let length: usize = rows.iter().map(|(_, row)| row.len()).sum();
    if !page.has_room(head.len() + length) {
        let mut number: BTreeMap<words::Noun, usize> = BTreeMap::new();
        for group in groups {
            *number.entry(words::noun(group.first.object)).or_default() += 1;
        }
        rows.sort_by_key(|(group, _)| number.get(&words::noun(group.first.object)).copied());
    }
    page.add(head);
    for (group, row) in rows {
        if !page.add(&row) {
            page.leave(Left::Objects(words::noun(group.first.object)), group.size());
        }
    }
}

/// A group as a row.
fn row(group: &Group<'_>, locator: &mut Locator<'_>) -> String {
    let mut object = format!(
        "{} {}",
        group.first.action().sign(),
        escaped(&words::title(group))
    );
    if !group.is_single() {
        object.push_str(&format!("<br>{}", escaped(&words::names(group).0)));
    }
    let mut changes = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for (number, drift) in group.first.changes.iter().enumerate() {
        let change = if drift.fact.field == Field::Content {
            "content: see the diff".to_owned()
        } else {
            escaped(&words::short_change(number, group))
        };
        changes.push(match &drift.origin.derivation {
            Some(derivation) => format!("{change} ({})", escaped(derivation)),
            None => change,
        });
        if let Some(place) = Place::of_change(number, group, locator)
            && !places.contains(&place)
        {
            places.push(place);
        }
    }
    changes.extend(words::causes(group).iter().map(|cause| escaped(cause)));
    let differs = group.differs.as_ref().and_then(words::difference);
    changes.extend(differs.map(|differs| escaped(&differs)));
    let places: Vec<String> = places.iter().map(|place| escaped(&place.to_string())).collect();
    format!(
        "| {object} | {} | {} |\n",
        changes.join("<br>"),
        places.join("<br>")
    )
}
