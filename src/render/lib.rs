//! Output as text, diff, JSON, Markdown and metrics, and the files that netkeel ships.

pub mod diagnosis;
pub mod diff;
pub mod explain;
pub mod json;
pub mod markdown;
pub mod metrics;
pub mod mtu;
pub mod paint;
pub mod path;
pub mod pods;
pub mod schema;
pub mod templates;
#[cfg(test)]
mod tests;
pub mod text;
pub mod wording;
