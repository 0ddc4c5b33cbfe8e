//! Reads a snapshot file for the verbs that work offline.

use std::path::Path;

use crate::load::file::{name, read_printed};
use netkeel_core::error::Error;
use netkeel_host::snapshot::Snapshot;

/// Reads a snapshot that `netkeel observe` printed: a file, or `-` for standard input.
pub(crate) fn read_snapshot(path: &Path) -> Result<Snapshot, Error> {
    let text = read_printed(path)?;
    Snapshot::from_json(&text).map_err(|error| error.context(name(path)))
}
