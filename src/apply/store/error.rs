//! Errors of the store.

use std::io;
use std::path::Path;

use netkeel_core::error::{Error, ErrorKind};

/// The help for a user who is not root.
pub(in crate::store) const OF_ROOT: &str = "what netkeel keeps is root's: run it as root";

/// An I/O error with its path.
pub(crate) fn failed(error: &io::Error, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        io::ErrorKind::NotFound => ErrorKind::Missing,
        _ => ErrorKind::Refused,
    };
    let told = Error::new(kind, format!("{}: {error}", path.display()));
    match kind {
        ErrorKind::Permission => told.hint(OF_ROOT),
        _ => told,
    }
}
