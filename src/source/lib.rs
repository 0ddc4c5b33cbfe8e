//! Parses YAML, JSON and TOML into nodes with spans, and reports diagnostics that point into the
//! source.

pub mod diagnostic;
pub mod edit;
pub mod json;
pub mod node;
pub mod parse;
pub mod report;
pub mod sources;
pub mod span;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod text;
pub mod toml;
mod yaml;
