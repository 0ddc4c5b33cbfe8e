//! Diagnostics as workflow commands of GitHub Actions, which GitHub shows at the lines of a change.

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::report::location::Locator;
use crate::sources::Sources;
use crate::span::Span;
use netkeel_core::text::escape::printable;

/// One line for each diagnostic: `::error file=...,line=...,col=...::MESSAGE`.
pub fn render(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let mut locator = Locator::new(sources);
    let mut out = String::new();
    for diagnostic in diagnostics.sorted() {
        command(diagnostic, &mut locator, &mut out);
    }
    if diagnostics.more > 0 {
        let _ = writeln!(out, "::error::{} more errors are not listed", diagnostics.more);
    }
    out
}

fn command(diagnostic: &Diagnostic, locator: &mut Locator<'_>, out: &mut String) {
    let mut message = printable(&diagnostic.message).into_owned();
    for hint in &diagnostic.hints {
        let _ = write!(message, "\nhelp: {}", printable(hint));
    }
    let message = data(&message);
    let title = match diagnostic.path.as_str() {
        "" => "invalid document".to_owned(),
        path => property(&printable(path)),
    };
    let Some(span) = diagnostic.span else {
        let _ = writeln!(out, "::error title={title}::{message}");
        return;
    };
    let start = locator.locate(span);
    let end = locator.locate(Span {
        start: span.end,
        ..span
    });
    let _ = write!(
        out,
        "::error file={},line={},col={},endLine={}",
        property(&printable(&start.file)),
        start.line,
        start.column,
        end.line
    );
    // GitHub ignores columns of a range of several lines.
    if end.line == start.line {
        let _ = write!(out, ",endColumn={}", end.column);
    }
    let _ = writeln!(out, ",title={title}::{message}");
}

/// The message of a command, as @actions/core escapes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_diagnostic_is_one_line_that_github_reads() {
        let mut sources = Sources::default();
        let file = sources.add("a,b.yaml", "version: 1\nlink: { eth0: { mtu: 1x } }\n");
        let mut diagnostics = Diagnostics::default();
        diagnostics
            .add(Span::new(file, 32, 34), "link.eth0.mtu", "100% wrong")
            .hint("use 1400");
        diagnostics.add(None, "", "no place");
        assert_eq!(
            render(&diagnostics, &sources),
            "::error title=invalid document::no place\n\
             ::error file=a%2Cb.yaml,line=2,col=22,endLine=2,endColumn=24,title=link.eth0.mtu\
             ::100%25 wrong%0Ahelp: use 1400\n"
        );
    }
}
