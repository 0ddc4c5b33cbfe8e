//! A review of a fleet: text, JSON, Markdown and HTML. All show the same groups.

pub mod html;
pub mod json;
pub mod markdown;
pub mod text;
pub mod title;
pub(crate) mod words;
