//! The comparison of two bundles as text.

use crate::diagnosis::words;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::diagnosis::compare::{Comparison, Difference, Unit};

/// Settings that are shown.
const SETTINGS: usize = 20;

/// The comparison. `names` are the two sides.
pub fn comparison(found: &Comparison, names: [&str; 2]) -> String {
    let names = names.map(|name| printable(name).into_owned());
    let mut out = match found.losses.first() {
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
    if !found.losses.is_empty() {
        out.push_str(&format!(
            "\n  {:>12}  {:>12}  {:>6}  loss\n",
            clip(&names[0]),
            clip(&names[1]),
            "factor"
        ));
        for difference in &found.losses {
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
    format!(
        "  {one:>12}  {other:>12}  {factor:>6}  {}\n",
        printable(&found.what)
    )
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
