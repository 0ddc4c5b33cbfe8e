//! Reads named files: the only way to do so. A name may lead to a FIFO, whose open waits for a writer, or to
//! a device, whose content never ends. So the open does not wait, only regular files are read, and each
//! caller states a limit.

use std::fmt::{self, Display, Formatter};
use std::fs::{File, OpenOptions};
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};

/// The limit for a file that has no smaller one of its own, bytes.
pub const LONGEST: u64 = 16 * 1024 * 1024;

/// Whether the last component of a path may be a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// The link's target is read.
    Follow,
    /// A link is an error (ELOOP).
    Refuse,
}

/// Why a file could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The error of the system.
    Io(io::Error),
    /// It is a FIFO, a device, a directory or a socket.
    NotRegular,
    /// It has more bytes than this.
    TooLong(u64),
    /// It is not UTF-8.
    NotText,
}

impl ReadError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, ReadError::Io(cause) if matches!(cause.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)))
    }
}

impl Display for ReadError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(cause) => cause.fmt(f),
            ReadError::NotRegular => f.write_str("it is not a regular file"),
            ReadError::TooLong(longest) => write!(f, "it has more than {longest} bytes"),
            ReadError::NotText => f.write_str("it is not UTF-8 text"),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            // A read into a String reports invalid UTF-8 so.
            io::ErrorKind::InvalidData => ReadError::NotText,
            _ => ReadError::Io(cause),
        }
    }
}

impl From<ReadError> for io::Error {
    fn from(failed: ReadError) -> Self {
        match failed {
            ReadError::Io(cause) => cause,
            ReadError::NotRegular => io::Error::new(io::ErrorKind::InvalidInput, failed.to_string()),
            ReadError::TooLong(_) => io::Error::new(io::ErrorKind::FileTooLarge, failed.to_string()),
            ReadError::NotText => io::Error::new(io::ErrorKind::InvalidData, failed.to_string()),
        }
    }
}

impl From<ReadError> for Error {
    fn from(failed: ReadError) -> Self {
        match failed {
            ReadError::Io(cause) => error(cause),
            ReadError::NotRegular | ReadError::TooLong(_) | ReadError::NotText => {
                Error::new(ErrorKind::Unreadable, failed.to_string())
            }
        }
    }
}

/// Opens a regular file to read it, without waiting.
///
/// # Errors
/// The error of the system, or [`ReadError::NotRegular`].
pub fn open(path: &Path, symlinks: Symlinks) -> Result<File, ReadError> {
    let follow = match symlinks {
        Symlinks::Follow => 0,
        Symlinks::Refuse => libc::O_NOFOLLOW,
    };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(follow | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(ReadError::NotRegular),
    }
}

/// The rest of an open file, which has at most so many bytes.
///
/// # Errors
/// The error of the system, or [`ReadError::TooLong`].
pub fn rest(file: &mut impl Read, longest: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    // One byte more shows that a file is too long, also if it grows meanwhile.
    let length = file.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    match length as u64 > longest {
        true => Err(ReadError::TooLong(longest)),
        false => Ok(bytes),
    }
}

/// The content of a file, which has at most so many bytes.
///
/// # Errors
/// Those of [`open`] and [`rest`].
pub fn bytes(path: &Path, symlinks: Symlinks, longest: u64) -> Result<Vec<u8>, ReadError> {
    rest(&mut open(path, symlinks)?, longest)
}

/// The content of a file as text.
///
/// # Errors
/// Those of [`bytes`], or [`ReadError::NotText`].
pub fn text(path: &Path, symlinks: Symlinks, longest: u64) -> Result<String, ReadError> {
    String::from_utf8(bytes(path, symlinks, longest)?).map_err(|_| ReadError::NotText)
}

/// A file of the system, such as one below /proc.
///
/// # Errors
/// Those of [`text`].
pub fn system(path: impl AsRef<Path>) -> Result<String, ReadError> {
    text(path.as_ref(), Symlinks::Follow, LONGEST)
}

/// Opens a directory, to make changes in it durable.
///
/// # Errors
/// The error of the system.
pub fn directory(path: &Path) -> io::Result<File> {
    let flags = libc::O_DIRECTORY | libc::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    #[test]
    fn a_fifo_and_a_device_are_refused_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let fifo = scratch.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        for path in [&fifo, Path::new("/dev/zero"), scratch.path()] {
            let error = bytes(path, Symlinks::Follow, LONGEST).unwrap_err();
            assert!(matches!(error, ReadError::NotRegular), "{error}");
        }
    }

    #[test]
    fn a_file_has_a_limit_and_may_be_a_link() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("file"), "four").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        assert_eq!(text(&path("link"), Symlinks::Follow, 4).unwrap(), "four");
        assert!(text(&path("link"), Symlinks::Refuse, 4).is_err());
        let error = text(&path("file"), Symlinks::Refuse, 3).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 3 bytes");
        fs::write(path("file"), [0xff]).unwrap();
        assert!(matches!(system(path("file")), Err(ReadError::NotText)));
        assert!(system(path("none")).unwrap_err().is_missing());
        assert!(!system("/proc/self/stat").unwrap().is_empty());
    }
}
