//! The status of the service as one HTML page.

use crate::html::page::{Figure, escaped, figures, group, page, table};
use crate::path::svg;
use crate::wording::thousands;
use crate::wording::utc::utc;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};
use netkeel_diagnose::bundle::BundledApply;
use netkeel_diagnose::path::drawing::Path;
use netkeel_reconcile::status::Status;

/// Parts of the page that the status does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// The last applies, newest first.
    pub applies: Vec<BundledApply>,
    /// The paths of packets.
    pub paths: Vec<Path>,
    /// Why a part could not be read.
    pub unread: Vec<String>,
}

/// The most rows of a table.
const ROWS: usize = 500;

/// The page. It has no action.
pub fn html(status: &Status, recent: &Recent) -> String {
    let mut body = figures(&numbers(status));
    section(&mut body, "In force", &in_force(status));
    if let Some(why) = status.unhealthy.as_ref().or(status.failure.as_ref()) {
        body.push_str(&format!("<p class=\"loss\">{}</p>\n", escaped(why)));
    }
    let drift = status.drift.iter().map(|drift| {
        vec![
            drift.fact.clone(),
            drift.observed.clone(),
            drift.desired.clone(),
            drift.path.clone(),
        ]
    });
    let none = match status.looked {
        true => "None.",
        false => "Not known: no full scan has finished yet.",
    };
    let heads = ["setting", "on the host", "wanted", "declared as"];
    section(&mut body, "Drift", &rows(&heads, drift, none));
    let suspended = status.suspended.iter().map(|one| {
        vec![
            one.fact.clone(),
            one.reason.clone().unwrap_or_else(|| one.why.to_owned()),
            one.writers.join(", "),
        ]
    });
    section(
        &mut body,
        "Suspended",
        &rows(&["setting", "reason", "other writers"], suspended, "None."),
    );
    let problems = status.problems.iter().map(|problem| vec![problem.to_string()]);
    let facts = status.unread.facts().map(|fact| vec![fact.to_string()]);
    let unread = recent.unread.iter().map(|why| vec![why.clone()]);
    let not_read: Vec<Vec<String>> = facts.chain(problems).chain(unread).collect();
    if !not_read.is_empty() {
        section(
            &mut body,
            "Not read",
            &rows(&["what"], not_read.into_iter(), "None."),
        );
    }
    let findings = status
        .findings
        .iter()
        .map(|one| vec![one.code.to_string(), one.subject.clone(), one.message.clone()]);
    section(
        &mut body,
        "Findings",
        &rows(&["code", "subject", "fact"], findings, none),
    );
    if let Some(worker) = &status.worker {
        section(&mut body, "Replication worker", &worker_table(worker));
    }
    let applies = recent.applies.iter().map(|apply| {
        let changes = apply.changes.iter().take(ROWS);
        let changes = changes.map(|(fact, from, to)| format!("{fact}: {from} -> {to}"));
        vec![
            utc(apply.time),
            apply.id.clone(),
            apply.event.clone(),
            changes.collect::<Vec<_>>().join("; "),
        ]
    });
    let heads = ["time", "id", "event", "changes"];
    section(&mut body, "Last applies", &rows(&heads, applies, "None."));
    if !recent.paths.is_empty() {
        let drawing = svg::paths(&recent.paths, false);
        body.push_str(&group(false, false, "Paths of packets", &drawing));
    }
    page("netkeel", &body)
}

fn numbers(status: &Status) -> Vec<Figure> {
    let mut numbers = vec![Figure {
        number: status.mode.to_owned(),
        what: "mode".to_owned(),
        is_bad: false,
    }];
    if status.looked {
        numbers.push(Figure::count(
            status.wanted,
            ("setting declared", "settings declared"),
            false,
        ));
        numbers.push(Figure::count(status.drift.len(), ("differs", "differ"), true));
        numbers.push(Figure::count(
            status.findings.len(),
            ("finding", "findings"),
            false,
        ));
    }
    numbers.push(Figure::count(
        status.suspended.len(),
        ("suspended", "suspended"),
        true,
    ));
    let unread = status.unread.count() + status.problems.len();
    numbers.push(Figure::count(unread, ("not read", "not read"), true));
    if let Some(worker) = &status.worker {
        numbers.push(Figure {
            number: health(worker.health).to_owned(),
            what: "replication".to_owned(),
            is_bad: matches!(worker.health, WorkerHealth::Degraded | WorkerHealth::Failed),
        });
    }
    numbers
}

fn in_force(status: &Status) -> String {
    let document = &status.document;
    let mut facts = vec![
        (
            "netkeel",
            format!("{}, since {}", status.version, utc(status.since)),
        ),
        (
            "network namespace",
            status
                .netns
                .clone()
                .unwrap_or_else(|| "the one in which netkeel was started".to_owned()),
        ),
    ];
    match status.idle {
        true => facts.push(("document", "none yet: the service waits for one".to_owned())),
        false => {
            facts.push(("document", document.files.join(", ")));
            facts.push(("hash", document.hash.clone()));
            facts.push(("owner", document.owner.clone()));
            facts.push(("loaded", utc(document.loaded)));
        }
    }
    if let Some(why) = &document.rejected {
        facts.push(("rejected", format!("a newer document: {why}")));
    }
    if let Some(pause) = &status.paused {
        let reason = pause
            .reason
            .as_deref()
            .map_or(String::new(), |why| format!(": {why}"));
        facts.push((
            "paused",
            format!("until {} by {}{reason}", utc(pause.until), pause.by),
        ));
    }
    let facts = facts
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value]);
    rows(&["", ""], facts, "None.")
}

fn worker_table(worker: &WorkerStatus) -> String {
    let mut facts = vec![
        ("state", health(worker.health).to_owned()),
        (
            "restarts",
            thousands(usize::try_from(worker.restarts).unwrap_or(usize::MAX)),
        ),
    ];
    facts.extend(worker.error.clone().map(|error| ("error", error)));
    if let Some(found) = &worker.statistics {
        for (name, number) in [
            ("received", found.received),
            ("replicated", found.replicated),
            ("copies sent", found.sent),
            ("copies that failed", found.failed),
            ("lost before the worker", found.lost),
        ] {
            facts.push((name, thousands(usize::try_from(number).unwrap_or(usize::MAX))));
        }
        let refused: Vec<String> = found
            .refused
            .iter()
            .filter(|(_, number)| **number > 0)
            .map(|(reason, number)| format!("{number} {}", reason.name()))
            .collect();
        if !refused.is_empty() {
            facts.push(("not copied", refused.join(", ")));
        }
    }
    let facts = facts
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value]);
    rows(&["", ""], facts, "None.")
}

fn health(health: WorkerHealth) -> &'static str {
    match health {
        WorkerHealth::Off => "off",
        WorkerHealth::Ok => "ok",
        WorkerHealth::Degraded => "degraded",
        WorkerHealth::DryRun => "dry run",
        WorkerHealth::Failed => "failed",
    }
}

fn section(out: &mut String, title: &str, content: &str) {
    out.push_str(&format!("<h2>{}</h2>\n{content}", escaped(title)));
}

/// A table of text, with the number of rows that are left out, or a sentence if there are no rows.
fn rows(head: &[&str], all: impl Iterator<Item = Vec<String>>, none: &str) -> String {
    let mut all = all.peekable();
    if all.peek().is_none() {
        return format!("<p>{none}</p>\n");
    }
    let cells = |row: Vec<String>| row.iter().map(|cell| escaped(cell)).collect();
    let shown: Vec<Vec<String>> = all.by_ref().take(ROWS).map(cells).collect();
    let mut out = table(head, &shown);
    let more = all.count();
    if more > 0 {
        out.push_str(&format!(
            "<p class=\"note\">and {} more; <code>netkeel status</code> shows them</p>\n",
            thousands(more)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::finding::Code;
    use netkeel_reconcile::status::FindingStatus;

    #[test]
    fn a_page_has_no_markup_of_others_and_no_action() {
        let hostile = "</td><script>alert(1)</script>";
        let mut status = Status::new("enforce", Some(hostile.to_owned()), 1, 7);
        status.looked = true;
        status.document.files = vec![hostile.to_owned()];
        status.document.rejected = Some(hostile.to_owned());
        status.failure = Some(hostile.to_owned());
        status.findings = vec![FindingStatus {
            code: Code::NK001,
            subject: hostile.to_owned(),
            message: hostile.to_owned(),
        }];
        let recent = Recent {
            applies: vec![BundledApply {
                id: hostile.to_owned(),
                time: 1,
                event: hostile.to_owned(),
                owner: hostile.to_owned(),
                changes: vec![(hostile.to_owned(), hostile.to_owned(), hostile.to_owned())],
            }],
            paths: Vec::new(),
            unread: vec![hostile.to_owned()],
        };
        let page = html(&status, &recent);
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(page.matches("&lt;script&gt;").count() >= 9, "{page}");
        for action in ["<form", "<button", "href=\"http", "method="] {
            assert!(!page.contains(action), "{action}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_none() {
        let page = html(&Status::new("observe", None, 1, 7), &Recent::default());
        assert!(
            page.contains("Not known: no full scan has finished yet."),
            "{page}"
        );
    }
}
