//! Reads a snapshot file for the verbs that work offline.

use std::path::Path;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_host::snapshot::Snapshot;

/// Reads a snapshot that `netkeel observe` printed.
pub(crate) fn read_snapshot(path: &Path) -> Result<Snapshot, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::new(ErrorKind::Input, format!("{}: {error}", path.display())))?;
    Snapshot::from_json(&text).map_err(|error| error.context(path.display()))
}
