//! One row of an explanation.

use std::fmt::Write as _;

use netkeel_core::text::escape::printable;

/// Adds one line with its label.
pub(crate) fn row(out: &mut String, label: &str, text: impl std::fmt::Display) {
    let text = text.to_string();
    let _ = writeln!(out, "  {label:<10} {}", printable(&text));
}
