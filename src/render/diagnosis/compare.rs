//! The comparison of two bundles as text.

use crate::diagnosis::words;
use netkeel_core::finding::Severity;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::diagnosis::compare::{Comparison, Difference, Group, Unit};

/// Settings that are shown.
const SETTINGS: usize = 20;

/// The comparison. `names` are the two sides.
pub fn comparison(found: &Comparison, names: [&str; 2]) -> String {
    let names = names.map(|name| printable(name).into_owned());
    // Of errors and of drops the worst are in front, the worse of both in the first line.
    let worst = found.losses.iter().min_by_key(|loss| (loss.severity, loss.group));
    let mut out = match worst {
        None => "No loss differs by a factor of 3 or more.\n".to_owned(),
        Some(worst) => {
            let times = worst
                .factor
                .map_or("with losses that the other has not".to_owned(), |factor| {
                    format!("{} times the other", times(factor))
                });
            let name = names.get(worst.outlier).map_or("", String::as_str);
            format!("Outlier: {name}, {times}, in {}\n", printable(&worst.what))
        }
    };
    for group in Group::ALL {
        let mut losses = found.losses.iter().filter(|loss| loss.group == group).peekable();
        if losses.peek().is_some() {
            let title = match group {
                Group::Errors => "errors",
                Group::Drops => "drops",
            };
            let (one, other) = (clip(&names[0]), clip(&names[1]));
            out.push_str(&format!("\n  {one:>12}  {other:>12}  {:>6}  {title}\n", "factor"));
        }
        for difference in losses {
            out.push_str(&line(difference));
        }
    }
    for (at, codes) in found.findings.iter().enumerate() {
        if !codes.is_empty() {
            let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
            let name = names.get(at).map_or("", String::as_str);
            out.push_str(&format!("\nFindings of {name} only: {}\n", codes.join(", ")));
        }
    }
    if !found.settings.is_empty() {
        out.push_str("\nSettings that differ\n");
        for (name, [one, other]) in found.settings.iter().take(SETTINGS) {
            let (name, one, other) = (printable(name), printable(one), printable(other));
            out.push_str(&format!("  {name}: {one} | {other}\n"));
        }
        if let more @ 1.. = found.settings.len().saturating_sub(SETTINGS) {
            out.push_str(&format!("  and {more} more (--output json has all)\n"));
        }
    }
    out
}

fn line(found: &Difference) -> String {
    let [one, other] = found.rate.map(|rate| match found.unit {
        Unit::Share => words::percent(rate),
        Unit::PerSecond => format!("{rate:.1}/s"),
    });
    let factor = found
        .factor
        .map_or("-".to_owned(), |factor| format!("{}x", times(factor)));
    let what = printable(&found.what);
    let word = match found.severity {
        Severity::Error => " (critical)",
        Severity::Warning => " (warning)",
        Severity::Note => "",
    };
    format!("  {one:>12}  {other:>12}  {factor:>6}  {what}{word}\n")
}

fn times(factor: f64) -> String {
    match factor {
        10.0.. => format!("{factor:.0}"),
        _ => format!("{factor:.1}"),
    }
}

/// A name that fits a column.
fn clip(name: &str) -> String {
    match name.chars().count() {
        ..=12 => name.to_owned(),
        _ => name.chars().take(11).chain(['…']).collect(),
    }
}
