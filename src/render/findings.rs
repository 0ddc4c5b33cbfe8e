//! Findings as text.

use std::fmt::Write as _;

use crate::paint::Paint;
use crate::wording::wrap::wrap;
use netkeel_core::finding::{Finding, Severity};
use netkeel_core::text::escape::printable;

/// Findings with their remedies, each on two lines of any length.
pub fn text(findings: &[Finding], paint: Paint) -> String {
    wrapped(findings, paint, usize::MAX)
}

/// Findings with their remedies in lines of at most `width` characters.
pub(crate) fn wrapped(findings: &[Finding], paint: Paint, width: usize) -> String {
    let mut out = String::new();
    for finding in findings {
        let severity = finding.code.severity();
        let head = format!("{severity} {}", finding.code);
        let start = head.chars().count() + 1;
        let head = match severity {
            Severity::Error => paint.red(head),
            Severity::Warning => paint.yellow(head),
            Severity::Note => paint.bold(head),
        };
        let fact = format!("{}: {}", subjects(&finding.subjects), finding.message);
        let _ = writeln!(out, "{head} {}", wrap(&printable(&fact), start, 2, width));
        let remedy = wrap(&printable(&finding.remedy), 2, 2, width);
        for line in remedy.lines() {
            let _ = writeln!(out, "  {}", paint.dim(line.trim_start()));
        }
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
