//! Diagnostics as text: place, source line, second place and hints, safe for a terminal.

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::report::excerpt::{Excerpt, Gutter};
use crate::report::location::Locator;
use crate::report::paint::Paint;
use crate::sources::Sources;
use crate::span::Span;
use netkeel_core::text::escape::printable;

/// Renders all diagnostics, and a last line with their number.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let paint = Paint::new(colour);
    let mut locator = Locator::new(sources);
    let mut out = String::new();
    for diagnostic in diagnostics.sorted() {
        render_one(diagnostic, &mut locator, &paint, &mut out);
        out.push('\n');
    }
    summary(diagnostics, sources, &mut out);
    out
}

fn render_one(diagnostic: &Diagnostic, locator: &mut Locator<'_>, paint: &Paint, out: &mut String) {
    let message = printable(&diagnostic.message);
    let _ = writeln!(out, "{}: {}", paint.error("error"), paint.strong(&message));
    let excerpts = excerpts(diagnostic, locator);
    let last_line = excerpts.iter().map(Excerpt::last_line).max().unwrap_or(0);
    let gutter = Gutter::new(last_line, paint);
    for (index, excerpt) in excerpts.iter().enumerate() {
        excerpt.render(&gutter, index == 0, out);
    }
    if diagnostic.span.is_none() && !diagnostic.path.is_empty() {
        gutter.note("in", &printable(&diagnostic.path), out);
    }
    if !excerpts.is_empty() && !diagnostic.hints.is_empty() {
        gutter.empty(out);
    }
    for hint in &diagnostic.hints {
        gutter.note("help:", &printable(hint), out);
    }
}

/// The first place, and the second one if it is in the same file.
fn excerpts<'a>(diagnostic: &Diagnostic, locator: &mut Locator<'a>) -> Vec<Excerpt<'a>> {
    let Some(span) = diagnostic.span else {
        return Vec::new();
    };
    let mut first = Excerpt::new(span, locator);
    first.mark(span, '^', &diagnostic.path, locator);
    let Some((other, label)) = &diagnostic.other else {
        return vec![first];
    };
    if other.file == span.file {
        first.mark(*other, '-', label, locator);
        first.fill(locator);
        return vec![first];
    }
    let mut second = Excerpt::new(*other, locator);
    second.mark(*other, '-', label, locator);
    vec![first, second]
}

/// `3 errors in desired.yaml`.
fn summary(diagnostics: &Diagnostics, sources: &Sources, out: &mut String) {
    let mut files: Vec<&str> = Vec::new();
    for Span { file, .. } in diagnostics.list.iter().filter_map(|diagnostic| diagnostic.span) {
        let name = sources.name(file);
        if !files.contains(&name) {
            files.push(name);
        }
    }
    let count = diagnostics.count();
    let _ = write!(out, "{count} error{}", if count == 1 { "" } else { "s" });
    if diagnostics.more > 0 {
        let _ = write!(out, " (the first {} are shown)", diagnostics.list.len());
    }
    let _ = match files.as_slice() {
        [] => writeln!(out),
        [file] => writeln!(out, " in {}", printable(file)),
        files => writeln!(out, " in {} files", files.len()),
    };
}
