//! A place in a file of a document, as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use netkeel_source::report::location::Location;

/// A place in a file of the document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1.
    #[schemars(range(min = 1))]
    pub line: usize,
    /// The column in characters, from 1.
    #[schemars(range(min = 1))]
    pub column: usize,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Place {
            file: location.file.to_string(),
            line: location.line,
            column: location.column,
        }
    }
}
