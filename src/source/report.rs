//! Renders diagnostics with an excerpt of the source.

mod excerpt;
pub mod github;
pub mod location;
pub mod mask;
mod paint;
pub mod render;
#[cfg(test)]
mod tests;
