//! Copies of the last accepted documents, peers and policies, for a time without newer ones; evictions; and what a restart left.

mod accepted;
mod cluster_peers;
mod evictions;
pub mod left_rules;
pub mod policies;
mod served;

use std::path::Path;

use crate::store::{Store, log};
use netkeel_core::error::Error;

impl Store {
    /// Keeps a text in a file, unless the file has it.
    fn keep(&self, path: &Path, text: &str) -> Result<(), Error> {
        if log::read(path).ok().flatten().as_deref() == Some(text) {
            return Ok(());
        }
        self.make()?;
        log::replace(path, text)
    }
}
