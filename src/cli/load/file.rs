//! Reads a file of a document.

use std::io::Read;
use std::path::Path;
use std::{fs, io};

use crate::arguments::DEFAULT_DOCUMENTS;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_source::text::limits;

/// Reads a file; of the default place it tells how to name another.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let open = fs::File::open(path).map_err(|error| {
        let error = io_error(&error).context(path.display());
        if path == Path::new(DEFAULT_DOCUMENTS) {
            error.hint("name a document with -f")
        } else {
            error
        }
    });
    read(&mut open?, path)
}

/// Reads no more than a document may have, whatever a file claims to be.
pub(crate) fn read(from: &mut dyn Read, name: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // With room for a byte order mark, and one more to tell that it is too much.
    let limit = limits::MAX_BYTES as u64 + 4;
    from.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| io_error(&error).context(name.display()))?;
    Ok(bytes)
}

/// An error of reading, with what kind it is for an exit code.
pub(crate) fn io_error(error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        io::ErrorKind::NotFound => ErrorKind::Missing,
        _ => ErrorKind::Input,
    };
    Error::new(kind, error.to_string())
}
