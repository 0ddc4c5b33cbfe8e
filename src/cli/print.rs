//! Verbs that print and do not read the host.

pub(crate) mod completions;
mod document_page;
pub(crate) mod man;
pub(crate) mod render;
pub(crate) mod schema;
