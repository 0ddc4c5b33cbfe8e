//! The unified diff of two texts, as `diff -u` prints it.

use std::fmt::Write as _;

use similar::TextDiff;

use netkeel_core::text::escape::printable;

/// The number of unchanged lines around a change.
const CONTEXT: usize = 3;

/// The diff; empty for equal texts. `None` means that the file does not exist.
pub fn unified(old: Option<&str>, new: Option<&str>, old_name: &str, new_name: &str) -> String {
    let (before, after) = (lines(old), lines(new));
    let diff = TextDiff::from_slices(&before, &after);
    let mut hunks = diff.unified_diff();
    let mut out = String::new();
    for hunk in hunks.context_radius(CONTEXT).iter_hunks() {
        if out.is_empty() {
            let name = |name, text: Option<&str>| if text.is_some() { name } else { "/dev/null" };
            let _ = writeln!(out, "--- {}\n+++ {}", name(old_name, old), name(new_name, new));
        }
        let _ = writeln!(out, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let line = change.value();
            let text = line.strip_suffix('\n');
            let _ = writeln!(out, "{}{}", change.tag(), shown(text.unwrap_or(line)));
            if text.is_none() {
                out.push_str("\\ No newline at end of file\n");
            }
        }
    }
    out
}

/// Splits text into lines, with their line ends. `similar` would also split at a lone `\r`.
fn lines(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split_inclusive('\n').collect()
}

/// A line with unsafe characters escaped.
fn shown(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(printable).collect();
    parts.join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_equals_the_output_of_the_library(old in "([ab]\n){0,12}[ab]?", new in "([ab]\n){0,12}[ab]?") {
            let theirs = similar::TextDiff::from_lines(&old, &new)
                .unified_diff()
                .context_radius(CONTEXT)
                .header("a", "b")
                .to_string();
            prop_assert_eq!(unified(Some(&old), Some(&new), "a", "b"), theirs);
        }
    }

    #[test]
    fn a_carriage_return_is_shown_and_ends_no_line() {
        let diff = unified(Some("a\rb\n"), Some("a\r"), "a", "b");
        assert_eq!(
            diff,
            "--- a\n+++ b\n@@ -1 +1 @@\n-a\\rb\n+a\\r\n\\ No newline at end of file\n"
        );
    }
}
