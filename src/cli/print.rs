//! Verbs that print what needs no host.

pub(crate) mod completions;
pub(crate) mod man;
pub(crate) mod render;
pub(crate) mod schema;
