//! Output as text, diff, JSON, Markdown and metrics, and the files that netkeel ships.

pub mod diagnosis;
pub mod explain;
pub mod findings;
pub mod html;
pub mod json;
pub mod metrics;
pub mod mtu;
pub mod paint;
pub mod path;
pub mod plan;
pub mod pods;
pub mod review;
pub mod schema;
pub mod templates;
pub mod wording;
