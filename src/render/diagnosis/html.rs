//! A bundle as one HTML page that needs no other file and runs no script.

use crate::diagnosis::{text, words};
use crate::html::page::escaped;
use crate::paint::Paint;
use crate::path::svg;
use crate::wording::utc::utc;
use netkeel_diagnose::bundle::Bundle;
use netkeel_diagnose::path::select;
use netkeel_diagnose::path::select::Start;

/// Forbids the page everything but its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color-scheme:light dark}\
pre{overflow-x:auto;padding:.7em;border:1px solid #8888}table{border-collapse:collapse}\
td,th{border:1px solid #8888;padding:.2em .6em;text-align:left}td.n{text-align:right}";

/// The page.
pub fn bundle(bundle: &Bundle) -> String {
    let diagnosis = bundle.diagnosis();
    let deltas = bundle.deltas();
    let title = format!("netkeel doctor: {}", bundle.host);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
        escaped(POLICY),
        escaped(&title),
        escaped(&title)
    );
    let about = [
        ("time", utc(bundle.time)),
        ("window", words::seconds(deltas.window_ms)),
        ("kernel", bundle.snapshot.kernel.clone()),
        (
            "CNI",
            bundle.cni.clone().unwrap_or_else(|| "not known".to_owned()),
        ),
        (
            "CNI plugins",
            words::plugins(bundle).unwrap_or_else(|| "not known".to_owned()),
        ),
        ("netkeel", bundle.netkeel.clone()),
    ];
    table(
        &mut out,
        &["", ""],
        about
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()]),
    );
    section(&mut out, "Diagnosis");
    pre(&mut out, &text::diagnosis(&diagnosis, Paint(false)));
    section(&mut out, "Findings");
    let findings = bundle.findings.iter().map(|finding| {
        vec![
            finding.code.to_string(),
            finding.subjects.join(", "),
            finding.message.clone(),
            finding.remedy.clone(),
        ]
    });
    table(&mut out, &["code", "subjects", "fact", "remedy"], findings);
    section(&mut out, "Paths");
    let paths = select::paths(&bundle.snapshot, &Start::Everywhere, None, &|_| None);
    out.push_str(&svg::paths(&paths, false));
    section(&mut out, "Counters that grew");
    let grown = deltas.grown.iter().filter(|(_, by)| **by > 0);
    table(
        &mut out,
        &["counter", "growth"],
        grown.map(|(counter, by)| vec![counter.to_string(), by.to_string()]),
    );
    section(&mut out, "Not read");
    let unread = deltas
        .unread
        .iter()
        .map(|unread| vec![unread.source.to_string(), unread.why.clone()]);
    table(&mut out, &["source", "reason"], unread);
    section(&mut out, "Interfaces");
    let links = bundle.snapshot.links.iter().map(|(name, link)| {
        let state = if link.up { "up" } else { "down" };
        vec![
            name.to_string(),
            link.kind_name().to_owned(),
            link.mtu.to_string(),
            state.to_owned(),
        ]
    });
    table(&mut out, &["name", "kind", "MTU", "state"], links);
    section(&mut out, "Last applies");
    let applies = bundle.applies.iter().map(|apply| {
        let changes = apply
            .changes
            .iter()
            .map(|(fact, from, to)| format!("{fact}: {from} -> {to}"));
        vec![
            utc(apply.time),
            apply.id.clone(),
            apply.event.clone(),
            apply.owner.clone(),
            changes.collect::<Vec<_>>().join("; "),
        ]
    });
    table(&mut out, &["time", "id", "event", "owner", "changes"], applies);
    out.push_str("</body>\n</html>\n");
    out
}

fn section(out: &mut String, title: &str) {
    out.push_str(&format!("<h2>{}</h2>\n", escaped(title)));
}

fn pre(out: &mut String, text: &str) {
    out.push_str(&format!("<pre>{}</pre>\n", escaped(text)));
}

/// A table, or a word where it has no rows.
fn table(out: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let row = |cells: &[String], tag: &str| {
        let cells: String = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)))
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let body: String = rows.map(|cells| row(&cells, "td")).collect();
    if body.is_empty() {
        out.push_str("<p>None.</p>\n");
        return;
    }
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let head = match head.iter().all(String::is_empty) {
        true => String::new(),
        false => row(&head, "th"),
    };
    out.push_str(&format!("<table>\n{head}{body}</table>\n"));
}
