//! A review as Markdown, to post in a review of the change.

use crate::plan::markdown::escape::escaped;
use crate::plan::markdown::page::LIMIT;
use crate::review::title::Title;
use crate::review::words;
use crate::wording::count_thousands;
use netkeel_diagnose::review::class::Class;
use netkeel_diagnose::review::effect::Effect;
use netkeel_diagnose::review::fleet::{Failures, Review, Unplanned};
use netkeel_diagnose::review::group::Group;

/// Bytes for the sentence on what was left out.
const RESERVED: usize = 512;

/// The most errors that are shown for a reason.
const ERRORS: usize = 5;

/// The review, at most 60 KiB.
pub fn review(review: &Review, title: Title<'_>) -> String {
    let mut out = format!(
        "### netkeel review\n\n**{}.** Existing drift is not shown.\n\nOld: {}, new: {}\n",
        escaped(&words::decision(review)),
        escaped(title.old),
        escaped(title.new)
    );
    let (refused, others): (Vec<_>, Vec<_>) = review
        .unplanned
        .iter()
        .partition(|(why, _)| **why == Unplanned::New);
    for (why, failures) in refused {
        out.push_str(&failed(*why, failures));
    }
    let end: String = others
        .into_iter()
        .map(|(why, failures)| failed(*why, failures))
        .collect();
    let room = LIMIT.saturating_sub(RESERVED + end.len());
    if !review.groups.is_empty() {
        out.push_str("\n| hosts | changes of each host |\n|---|---|\n");
    }
    let (mut groups, mut hosts) = (0, 0);
    for group in &review.groups {
        let row = row(group, title);
        if groups > 0 || out.len() + row.len() > room {
            groups += 1;
            hosts += group.hosts.count();
            continue;
        }
        out.push_str(&row);
    }
    if groups > 0 {
        out.push_str(&format!(
            "\nLeft out, because a comment has a limited length: {} of {}. `netkeel review` shows them.\n",
            count_thousands(groups, "change"),
            words::hosts(hosts)
        ));
    }
    out.push_str(&end);
    out
}

/// A group as a row.
fn row(group: &Group, title: Title<'_>) -> String {
    let mark = if words::is_risky(group) { "⚠ " } else { "" };
    let mut hosts = format!(
        "{mark}**{}**<br>{}",
        words::hosts(group.hosts.count()),
        escaped(&words::names(&group.hosts))
    );
    let stages = words::stages(&group.hosts, title);
    if !stages.is_empty() {
        hosts.push_str(&format!("<br>{}", escaped(&stages)));
    }
    let mut changes: Vec<String> = group
        .shown()
        .into_iter()
        .map(|(class, effect)| entry(class, effect))
        .collect();
    changes.extend(group.findings.iter().map(|finding| {
        format!(
            "**{} {}** {}: {}",
            finding.code.severity(),
            finding.code,
            escaped(&crate::findings::subjects(&finding.subjects)),
            escaped(&finding.message)
        )
    }));
    format!("| {hosts} | {} |\n", changes.join("<br>"))
}

/// The objects of a class with their changes.
fn entry(class: &Class, effect: &Effect) -> String {
    let changes = words::changes(class, effect);
    let texts: Vec<String> = changes.iter().map(|(text, _)| escaped(text)).collect();
    let mut out = format!(
        "{} **{}** {}",
        words::action(class, effect).sign(),
        escaped(&words::objects(class, effect)),
        texts.join(", ")
    );
    let mut places: Vec<String> = Vec::new();
    for place in changes
        .iter()
        .filter_map(|(_, line)| line.as_ref())
        .map(words::line)
    {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if !places.is_empty() {
        out.push_str(&format!(" ({})", escaped(&places.join(", "))));
    }
    if let Some(risk) = words::risk(class) {
        let losses = words::losses(effect);
        let loses = match losses.is_empty() {
            true => String::new(),
            false => format!(": loses {}", escaped(&losses.join("; "))),
        };
        out.push_str(&format!("<br>**{risk}**{loses}"));
    }
    out
}

fn failed(why: Unplanned, failures: &Failures) -> String {
    let mut out = format!(
        "\n- **{}** {}\n",
        words::hosts(failures.hosts.count()),
        words::unplanned(why)
    );
    for (host, error) in failures.errors.iter().take(ERRORS) {
        out.push_str(&format!("  - {}: {}\n", escaped(host), escaped(error)));
    }
    let more = failures.hosts.count() - failures.errors.len().min(ERRORS);
    if more > 0 {
        out.push_str(&format!("  - and {} more\n", words::hosts(more)));
    }
    out
}
