//! Verbs that print, without a look at the network path of the host.

pub(crate) mod complete;
pub(crate) mod completions;
mod document_page;
pub(crate) mod man;
pub(crate) mod render;
pub(crate) mod schema;
