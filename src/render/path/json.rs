//! Paths as JSON: format `netkeel/path`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use netkeel_diagnose::path::drawing::Path;
use netkeel_host::snapshot::problem::Problem;

/// The format's name.
const NAME: &str = "netkeel/path";

/// The version of the format.
const VERSION: u32 = 1;

/// The output of `netkeel path --output json`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "netkeel path")]
pub(crate) struct Paths<'a> {
    /// The name of the format.
    #[schemars(extend("const" = NAME))]
    format: &'static str,
    /// The version of the format.
    #[schemars(extend("const" = VERSION))]
    version: u32,
    /// The paths are those that a document would make, not the present ones.
    planned: bool,
    /// The paths.
    paths: &'a [Path],
    /// Facts that could not be read.
    problems: &'a [Problem],
}

/// The paths, present or `planned`, with what could not be read.
pub fn paths(paths: &[Path], planned: bool, problems: &[Problem]) -> Json {
    let output = Paths {
        format: NAME,
        version: VERSION,
        planned,
        paths,
        problems,
    };
    serde_json::to_value(output).unwrap_or_default()
}
