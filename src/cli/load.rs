//! Loads documents.

pub(crate) mod address;
pub(crate) mod directory;
pub(crate) mod documents;
pub(crate) mod file;
pub(crate) mod hierarchy;
pub(crate) mod revision;
pub(crate) mod snapshot;
pub(crate) mod subject;
pub(crate) mod targets;
