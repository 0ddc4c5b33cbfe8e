//! A remedy, or a next step.

use schemars::JsonSchema;
use serde::Serialize;

/// A remedy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// A fragment of a document.
    Document(String),
    /// A command.
    Command(String),
    /// A step outside of netkeel.
    Elsewhere(String),
}
