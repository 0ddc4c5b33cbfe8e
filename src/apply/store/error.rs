//! Errors of the store.

use std::io;
use std::path::Path;

use netkeel_core::error::{Error, ErrorKind};

/// An I/O error with its path.
pub(crate) fn failed(error: &io::Error, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        io::ErrorKind::NotFound => ErrorKind::Missing,
        _ => ErrorKind::Refused,
    };
    let told = Error::new(kind, format!("{}: {error}", path.display()));
    match kind {
        ErrorKind::Permission => told.hint("what netkeel keeps is root's: run it as root"),
        _ => told,
    }
}
