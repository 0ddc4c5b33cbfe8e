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

/// The longest name of a host or of a document, bytes.
const NAME: usize = 300;

/// The longest error, bytes.
const ERROR: usize = 600;

/// The longest text of one kind in a row, bytes: names of hosts, changes, places, losses.
const TEXT: usize = 1200;

/// The entries of a row take so many bytes, and one entry more.
const ROW: usize = 6 * 1024;

/// The review, at most 60 KiB.
pub fn review(review: &Review, title: Title<'_>) -> String {
    let mut out = format!(
        "### netkeel review\n\n**{}.** Existing drift is not shown.\n\nOld: {}, new: {}\n",
        escaped(&words::decision(review, title)),
        cut(title.old, NAME),
        cut(title.new, NAME)
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
        if out.len() + row.len() > room {
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
        cut(&words::names(&group.hosts), TEXT)
    );
    let stages = words::stages(&group.hosts, title);
    if !stages.is_empty() {
        hosts.push_str(&format!("<br>{}", cut(&stages, TEXT)));
    }
    let shown = group.shown();
    let mut changes: Vec<String> = Vec::new();
    let mut length = 0;
    for (class, effect) in &shown {
        if length > ROW {
            break;
        }
        let entry = entry(class, effect, group);
        length += entry.len();
        changes.push(entry);
    }
    if shown.len() > changes.len() {
        changes.push(format!(
            "and {}",
            count_thousands(shown.len() - changes.len(), "more change")
        ));
    }
    changes.extend(words::parts(group).map(|parts| cut(&parts, TEXT)));
    let findings = words::findings(group);
    let (mut length, mut number) = (0, 0);
    for finding in &findings {
        if length > ROW {
            break;
        }
        let text = format!(
            "**{} {}** {}: {}",
            finding.code.severity(),
            finding.code,
            cut(&crate::findings::subjects(&finding.subjects), TEXT),
            cut(&finding.message, TEXT)
        );
        length += text.len();
        number += 1;
        changes.push(text);
    }
    if findings.len() > number {
        changes.push(format!(
            "and {}",
            count_thousands(findings.len() - number, "more finding")
        ));
    }
    changes.extend(words::findings_left_out(group));
    format!("| {hosts} | {} |\n", changes.join("<br>"))
}

/// The objects of a class with their changes.
fn entry(class: &Class, effect: &Effect, group: &Group) -> String {
    let changes = words::changes(class, effect);
    let texts: Vec<&str> = changes.iter().map(|(text, _)| text.as_str()).collect();
    let mut out = format!(
        "{} **{}** {}",
        words::action(class, effect).sign(),
        cut(&words::objects(class, effect), TEXT),
        cut(&texts.join(", "), TEXT)
    );
    let places = words::places(&changes);
    if !places.is_empty() {
        out.push_str(&format!(" ({})", cut(&places.join(", "), TEXT)));
    }
    if let Some(risk) = words::risk(class) {
        let loses = cut(&words::losses(effect, group), TEXT);
        out.push_str(&format!("<br>**{risk}**{loses}"));
    }
    out
}

/// The escaped beginning of a text: at most so many bytes, and three dots if it was cut.
fn cut(text: &str, most: usize) -> String {
    let whole = escaped(text);
    if whole.len() <= most {
        return whole;
    }
    let mut out = String::new();
    // No escape is cut: a half one would be markup.
    for char in text.chars() {
        let next = escaped(char.encode_utf8(&mut [0; 4]));
        if out.len() + next.len() > most {
            break;
        }
        out.push_str(&next);
    }
    out.push_str("...");
    out
}

fn failed(why: Unplanned, failures: &Failures) -> String {
    let mut out = format!(
        "\n- **{}** {}\n",
        words::hosts(failures.hosts.count()),
        words::unplanned(why)
    );
    for (host, error) in failures.errors.iter().take(ERRORS) {
        out.push_str(&format!("  - {}: {}\n", cut(host, NAME), cut(error, ERROR)));
    }
    let more = failures.hosts.count() - failures.errors.len().min(ERRORS);
    if more > 0 {
        out.push_str(&format!("  - and {} more\n", words::hosts(more)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::finding::{Code, Finding};
    use netkeel_diagnose::review::fleet::Fleet;
    use netkeel_diagnose::review::host::HostChange;

    /// A host with a finding of each code, whose texts are this one.
    fn change(text: &str, codes: &[Code]) -> HostChange {
        let finding = |code: &Code| Finding {
            code: *code,
            subjects: vec![text.to_owned()],
            message: text.to_owned(),
            remedy: text.to_owned(),
        };
        HostChange {
            findings: codes.iter().map(finding).collect(),
            ..HostChange::default()
        }
    }

    #[test]
    fn no_text_of_others_makes_the_comment_too_long() {
        let title = Title {
            old: &"[".repeat(90_000),
            new: &"\u{1b}".repeat(90_000),
            stages: &["_".repeat(90_000)],
            differ: true,
        };
        let text = "\u{202e}|".repeat(50_000);
        let mut fleet = Fleet::default();
        for why in [
            Unplanned::New,
            Unplanned::Old,
            Unplanned::Snapshot,
            Unplanned::Document,
            Unplanned::Missing,
        ] {
            for number in 0..30 {
                fleet.fail(&format!("{text}{number}{why:?}"), Some(0), why, &text);
            }
        }
        fleet.add(
            &text,
            Some(0),
            change(&text, &[Code::NK001, Code::NK002, Code::NK003]),
        );
        fleet.add("small", None, change("small", &[Code::NK005]));
        let page = review(&fleet.review(), title);
        assert!(page.len() <= LIMIT, "{}", page.len());
        // Neither the long row nor the one after it is left out.
        assert!(page.contains("**1 host**<br>small"), "{page}");
        assert!(page.contains("NK001") && !page.contains("Left out"), "{page}");
    }
}
