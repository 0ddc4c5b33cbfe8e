//! A plan for people: text, diff and Markdown. All show the same groups.

pub mod diff;
mod entry;
pub mod lossy;
pub mod markdown;
pub mod of;
mod place;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod text;
pub(crate) mod words;
