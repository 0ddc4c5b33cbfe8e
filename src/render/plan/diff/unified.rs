//! The unified diff of two texts, as `diff -u` prints it.

use std::fmt::Write as _;

use similar::TextDiff;

use netkeel_core::text::escape::printable;

/// The number of unchanged lines around a change.
const CONTEXT: usize = 3;

/// The diff; empty for equal texts. `None` means that the file does not exist.
pub fn unified(old: Option<&str>, new: Option<&str>, old_name: &str, new_name: &str) -> String {
    let (old_side, new_side) = (Side::plain(old_name, old), Side::plain(new_name, new));
    hunks(&old_side, &new_side)
}

/// The diff of two texts of one file. `old_shown` and `new_shown` are the same lines as they are shown, with masks in
/// the place of secrets.
pub fn unified_masked(name: &str, old: &str, old_shown: &str, new: &str, new_shown: &str) -> String {
    let side = |text, shown| Side {
        name,
        is_there: true,
        lines: lines(Some(text)),
        shown: lines(Some(shown)),
    };
    hunks(&side(old, old_shown), &side(new, new_shown))
}

/// One of the texts of a diff.
struct Side<'a> {
    name: &'a str,
    is_there: bool,
    lines: Vec<&'a str>,
    /// The same lines as they are shown.
    shown: Vec<&'a str>,
}

impl<'a> Side<'a> {
    fn plain(name: &'a str, text: Option<&'a str>) -> Self {
        Side {
            name,
            is_there: text.is_some(),
            lines: lines(text),
            shown: lines(text),
        }
    }

    fn name(&self) -> &'a str {
        if self.is_there { self.name } else { "/dev/null" }
    }

    /// A line without its end, as it is shown. One that has no such form is not shown.
    fn line(&self, number: usize) -> String {
        let line = self.shown.get(number).copied().unwrap_or_default();
        shown(line.strip_suffix('\n').unwrap_or(line))
    }
}

fn hunks(old: &Side<'_>, new: &Side<'_>) -> String {
    let (before, after) = (&old.lines, &new.lines);
    let diff = TextDiff::from_slices(before, after);
    let mut hunks = diff.unified_diff();
    let mut out = String::new();
    for hunk in hunks.context_radius(CONTEXT).iter_hunks() {
        if out.is_empty() {
            let _ = writeln!(out, "--- {}\n+++ {}", old.name(), new.name());
        }
        let _ = writeln!(out, "{}", hunk.header());
        for change in hunk.iter_changes() {
            let text = match (change.old_index(), change.new_index()) {
                (_, Some(at)) => new.line(at),
                (Some(at), None) => old.line(at),
                (None, None) => String::new(),
            };
            let _ = writeln!(out, "{}{text}", change.tag());
            if !change.value().ends_with('\n') {
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

    #[test]
    fn a_masked_line_is_a_change_and_does_not_show_it() {
        let diff = unified_masked("a", "x\nk: one\n", "x\nk: ***\n", "x\nk: two\n", "x\nk: ***\n");
        assert_eq!(diff, "--- a\n+++ a\n@@ -1,2 +1,2 @@\n x\n-k: ***\n+k: ***\n");
    }

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
