//! The errors of documents as JSON: the format `netkeel/diagnostics`, and a part of `netkeel/applied`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use crate::json::place::Place;
use netkeel_source::diagnostic;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;
use netkeel_source::span::Span;

/// The format's name.
pub(crate) const NAME: &str = "netkeel/diagnostics";

/// The format's version.
const VERSION: u32 = 1;

/// The output of `netkeel validate --output json`, and of `plan` and `check` for documents that are invalid.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "netkeel diagnostics")]
pub(crate) struct Report<'a> {
    /// The name of the format.
    #[schemars(extend("const" = NAME))]
    format: &'static str,
    /// The version of the format.
    #[schemars(extend("const" = VERSION))]
    version: u32,
    /// The documents have no error.
    valid: bool,
    /// The errors, by file and line.
    diagnostics: Vec<Diagnostic<'a>>,
    /// The number of errors that are not listed, because there are more than 1000.
    omitted: usize,
}

/// An error in a document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Diagnostic<'a> {
    /// The error, one sentence without a full stop.
    message: &'a str,
    /// The path of the key, as `link.pods.mtu`; empty for an error of a whole file.
    path: &'a str,
    /// The start of the place; null for an error without a place in a file.
    source: Option<Place>,
    /// The end of the place: the first character that does not belong to it.
    end: Option<End>,
    /// A second place that belongs to the error.
    related: Option<Related<'a>>,
    /// Remedies.
    hints: &'a [String],
}

/// The end of a place.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct End {
    /// The line, from 1.
    #[schemars(range(min = 1))]
    line: usize,
    /// The column in characters, from 1.
    #[schemars(range(min = 1))]
    column: usize,
}

/// A second place of an error.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Related<'a> {
    /// The relation to the error, as `first given here`.
    message: &'a str,
    /// The place.
    source: Place,
}

/// The errors of documents; without any, the documents are valid.
pub fn report(diagnostics: &Diagnostics, sources: &Sources) -> Json {
    let report = Report {
        format: NAME,
        version: VERSION,
        valid: diagnostics.is_empty(),
        diagnostics: list(diagnostics, sources),
        omitted: diagnostics.more,
    };
    // A type without maps always has a JSON form.
    serde_json::to_value(report).unwrap_or_default()
}

/// The errors from the first file to the last and from top to bottom.
pub(crate) fn list<'a>(diagnostics: &'a Diagnostics, sources: &Sources) -> Vec<Diagnostic<'a>> {
    let mut locator = Locator::new(sources);
    let sorted = diagnostics.sorted().into_iter();
    sorted.map(|found| one(found, &mut locator)).collect()
}

fn one<'a>(found: &'a diagnostic::Diagnostic, locator: &mut Locator<'_>) -> Diagnostic<'a> {
    Diagnostic {
        message: &found.message,
        path: &found.path,
        source: found.span.map(|span| locator.locate(span).into()),
        end: found.span.map(|span| {
            let end = locator.locate(Span {
                start: span.end,
                ..span
            });
            End {
                line: end.line,
                column: end.column,
            }
        }),
        related: found.other.as_ref().map(|(span, message)| Related {
            message,
            source: locator.locate(*span).into(),
        }),
        hints: &found.hints,
    }
}
