//! Loads documents.

pub(crate) mod documents;
mod file;
mod hierarchy;
pub(crate) mod snapshot;
