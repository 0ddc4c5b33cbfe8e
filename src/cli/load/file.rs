//! Reads a file of a document.

use std::io::Read;
use std::path::Path;
use std::{fs, io};

use crate::arguments::DEFAULT_DOCUMENTS;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_source::text::limits;

/// Reads a file. For the default directory, the error suggests `-f`.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let open = fs::File::open(path).map_err(|error| {
        let error = io_error(&error).context(path.display());
        if path == Path::new(DEFAULT_DOCUMENTS) {
            error.hint("set a document with -f")
        } else {
            error
        }
    });
    read(&mut open?, path)
}

/// Reads at most the maximum size of a document, even when the input never ends.
pub(crate) fn read(from: &mut dyn Read, name: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // Room for a byte order mark (3 bytes), and one byte more to detect a document that is too large.
    let limit = limits::MAX_BYTES as u64 + 4;
    from.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| io_error(&error).context(name.display()))?;
    Ok(bytes)
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
