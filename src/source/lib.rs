//! Bytes to nodes with spans: YAML, JSON and TOML, and diagnostics that point into them.

pub mod diagnostic;
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
