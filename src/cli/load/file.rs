//! Reads a file of a document.

use std::io;
use std::io::Read;
use std::path::Path;

use crate::arguments::DEFAULT_DOCUMENTS;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::files::read;
use netkeel_kernel::files::read::Symlinks;
use netkeel_source::text::limits;

/// Reads a file. For the default directory, the error suggests `-f`.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let open = read::open(path, Symlinks::Follow).map_err(|cause| {
        let error = io_error(&cause.into()).context(path.display());
        if path == Path::new(DEFAULT_DOCUMENTS) {
            error.hint("set a document with -f")
        } else {
            error
        }
    });
    read_from(&mut open?, path)
}

/// Reads at most the maximum size of a document, even when the input never ends.
pub(crate) fn read_from(from: &mut dyn Read, name: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // Room for a byte order mark (3 bytes), and one byte more to detect a document that is too large.
    let limit = limits::MAX_BYTES as u64 + 4;
    from.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| io_error(&error).context(name.display()))?;
    Ok(bytes)
}

/// Longest snapshot or saved plan, bytes: a host with 100,000 interfaces has less.
const LONGEST: u64 = 256 * 1024 * 1024;

/// Reads a file that netkeel printed earlier: a snapshot or a plan.
pub(crate) fn read_printed(path: &Path) -> Result<String, Error> {
    read::text(path, Symlinks::Follow, LONGEST)
        .map_err(|cause| Error::new(ErrorKind::Input, format!("{}: {cause}", path.display())))
}

/// Converts a read error, with the kind that sets the exit code.
pub(crate) fn io_error(error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        io::ErrorKind::NotFound => ErrorKind::Missing,
        _ => ErrorKind::Input,
    };
    Error::new(kind, error.to_string())
}
