//! Reads a file of a document.

use std::fs::{self, File};
use std::io;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::arguments::DEFAULT_DOCUMENTS;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::files::read;
use netkeel_kernel::files::read::{ReadError, Symlinks};
use netkeel_source::text::limits;

/// Reads a file. For the default directory, the error suggests `-f`.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let open = open(path).map_err(|cause| {
        let error = io_error(&cause.into()).context(path.display());
        if path == Path::new(DEFAULT_DOCUMENTS) {
            error.hint("set a document with -f")
        } else {
            error
        }
    });
    read_from(&mut open?, path)
}

/// Opens a regular file, or a pipe that the shell opened for this process: `-f <(helm template ...)`.
fn open(path: &Path) -> Result<File, ReadError> {
    match read::open(path, Symlinks::Follow) {
        Err(ReadError::NotRegular) if is_own_pipe(path) => Ok(File::open(path)?),
        opened => opened,
    }
}

/// A pipe below /dev/fd, which this process has open already. Another FIFO could keep it waiting for ever.
fn is_own_pipe(path: &Path) -> bool {
    let own = ["/dev/fd", "/proc/self/fd", "/dev/stdin"];
    let is_pipe = |found: fs::Metadata| found.file_type().is_fifo();
    own.iter().any(|own| path.starts_with(own)) && fs::metadata(path).is_ok_and(is_pipe)
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

/// Reads what netkeel or kubectl printed: a file, or `-` for standard input.
pub(crate) fn read_printed(path: &Path) -> Result<String, Error> {
    let text = || -> Result<String, ReadError> {
        let bytes = match is_standard_input(path) {
            true => read::rest(&mut io::stdin().lock(), LONGEST)?,
            false => read::rest(&mut open(path)?, LONGEST)?,
        };
        String::from_utf8(bytes).map_err(|_| ReadError::NotText)
    };
    if is_standard_input(path) {
        take_standard_input()?;
    }
    text().map_err(|cause| Error::new(ErrorKind::Input, format!("{}: {cause}", name(path))))
}

/// To be called before standard input is read. A second reader would find it empty.
///
/// # Errors
/// When it was read already.
pub(crate) fn take_standard_input() -> Result<(), Error> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    match TAKEN.swap(true, Ordering::Relaxed) {
        true => Err(Error::new(
            ErrorKind::Input,
            "`-` is given twice: standard input can be read only once",
        )),
        false => Ok(()),
    }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// The name of a file in messages.
pub(crate) fn name(path: &Path) -> String {
    match is_standard_input(path) {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
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
