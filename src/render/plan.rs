//! A plan for people: text, diff and Markdown. All show the same groups.

mod beside;
pub mod diff;
pub(crate) mod entry;
pub mod html;
pub mod lossy;
pub mod markdown;
pub mod of;
mod place;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod text;
pub(crate) mod words;
