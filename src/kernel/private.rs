//! Files that hold keys: written for this user alone, into a directory that nobody else can write.

use std::fs::{self, DirBuilder};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use nix::unistd::geteuid;

use super::file;
use super::refusal::error;
use crate::error::{Error, ErrorKind};

/// Longest configuration that is read, bytes.
const LONGEST: u64 = 1024 * 1024;

/// The permissions of what is written.
const MODE: u32 = 0o600;

/// Reads a text, also by symbolic links, as a mounted Secret has them.
///
/// # Errors
/// When it cannot be read, or is no text. No message shows a part of it.
pub fn read(path: &Path) -> Result<String, Error> {
    let doing = |error: Error| error.context(path.display());
    let file = fs::File::open(path).map_err(|cause| doing(error(cause)))?;
    let mut text = String::new();
    let read = file.take(LONGEST + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 > LONGEST => Err(doing(Error::new(
            ErrorKind::Unreadable,
            format!("it has more than {LONGEST} bytes"),
        ))),
        Ok(_) => Ok(text),
        Err(cause) if cause.kind() == std::io::ErrorKind::InvalidData => {
            Err(doing(Error::new(ErrorKind::Unreadable, "it is not UTF-8 text")))
        }
        Err(cause) => Err(doing(error(cause))),
    }
}

/// Puts a text in place with mode 0600, unless it is there already. A missing directory is made.
///
/// # Errors
/// When somebody else owns the directory or the file, or can write the directory; when it cannot be
/// written.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let doing = |error: Error| error.context(path.display());
    let directory = path.parent().unwrap_or(path);
    match DirBuilder::new().mode(0o700).recursive(true).create(directory) {
        Ok(()) => {}
        Err(cause) => return Err(error(cause).context(format_args!("making {}", directory.display()))),
    }
    let refused = |message: String| {
        Err(Error::new(ErrorKind::Refused, message).hint("name a directory of your own with --directory"))
    };
    let metadata = fs::symlink_metadata(directory).map_err(|cause| doing(error(cause)))?;
    if !metadata.is_dir() || metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return refused(format!(
            "{} is not a directory that only this user can write, and a key is to go there",
            directory.display()
        ));
    }
    if let Ok(found) = fs::symlink_metadata(path)
        && found.uid() != geteuid().as_raw()
    {
        return refused(format!("{} is somebody else's", path.display()));
    }
    match file::read(path) {
        Ok(Some(found)) if *found.content == *text && found.mode == MODE => Ok(()),
        Ok(_) => file::write(path, text, MODE).map_err(doing),
        Err(error) => Err(doing(error)),
    }
}
