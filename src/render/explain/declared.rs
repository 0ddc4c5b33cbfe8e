//! The rows for the line of a document that wants a value.

use crate::explain::row::row;
use netkeel_diagnose::explain::declared::Declared;

/// Adds the rows.
pub(crate) fn declared(out: &mut String, declared: &Declared) {
    let Declared {
        value,
        path,
        file,
        line,
        column,
        derivation,
    } = declared;
    row(
        out,
        "declared",
        format_args!("{value}, by {path} at {file}:{line}:{column}"),
    );
    if let Some(derivation) = derivation {
        row(out, "", derivation);
    }
}
