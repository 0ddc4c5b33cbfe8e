//! The unified diff of two texts, as `diff -u` prints it.

use std::fmt::Write as _;
use std::ops::Range;

use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::{DiffOp, DiffTag, group_diff_ops};

use crate::source::text::printable;

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// The diff; `none` stands for a file that is not there. Nothing for two texts that are the same.
pub(super) fn unified(old: Option<&str>, new: Option<&str>, old_name: &str, new_name: &str) -> String {
    let lines = |text: Option<&'_ str>| -> Vec<String> {
        text.unwrap_or_default()
            .split_inclusive('\n')
            .map(str::to_owned)
            .collect()
    };
    let name = |name: &str, text: Option<&str>| match text {
        Some(_) => name.to_owned(),
        None => "/dev/null".to_owned(),
    };
    let (before, after) = (lines(old), lines(new));
    let mut out = String::new();
    for (number, hunk) in group_diff_ops(changes(&before, &after), CONTEXT)
        .iter()
        .enumerate()
    {
        if number == 0 {
            let _ = writeln!(out, "--- {}\n+++ {}", name(old_name, old), name(new_name, new));
        }
        print(hunk, &before, &after, &mut out);
    }
    out
}

/// One algorithm by name: choosing it at run time would bring all of them into the program.
fn changes(before: &[String], after: &[String]) -> Vec<DiffOp> {
    let mut changes = Compact::new(Replace::new(Capture::new()), before, after);
    // Capturing cannot fail.
    let Ok(()) = myers::diff(&mut changes, before, 0..before.len(), after, 0..after.len());
    changes.into_inner().into_inner().into_ops()
}

fn print(hunk: &[DiffOp], before: &[String], after: &[String], out: &mut String) {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
        return;
    };
    let old = first.old_range().start..last.old_range().end;
    let new = first.new_range().start..last.new_range().end;
    let _ = writeln!(out, "@@ -{} +{} @@", place(&old), place(&new));
    let mut lines = |sign: char, of: &[String], range: Range<usize>| {
        for line in of.get(range).unwrap_or_default() {
            let text = line.strip_suffix('\n');
            let _ = writeln!(out, "{sign}{}", shown(text.unwrap_or(line)));
            if text.is_none() {
                out.push_str("\\ No newline at end of file\n");
            }
        }
    };
    for op in hunk {
        match op.tag() {
            DiffTag::Equal => lines(' ', before, op.old_range()),
            DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                lines('-', before, op.old_range());
                lines('+', after, op.new_range());
            }
        }
    }
}

/// A line as it is safe to print.
fn shown(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(printable).collect();
    parts.join("\t")
}

/// Lines are counted from 1, and none stand after the line before them.
fn place(range: &Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => (range.start + 1).to_string(),
        length => format!("{},{length}", range.start + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_what_the_library_prints(old in "([ab]\n){0,12}[ab]?", new in "([ab]\n){0,12}[ab]?") {
            let theirs = similar::TextDiff::from_lines(&old, &new)
                .unified_diff()
                .context_radius(CONTEXT)
                .header("a", "b")
                .to_string();
            prop_assert_eq!(unified(Some(&old), Some(&new), "a", "b"), theirs);
        }
    }
}
