//! One edit at a time: the second of two would write over what the first has changed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use netkeel_core::error;
use netkeel_core::error::Error;
use netkeel_kernel::files::read;

/// Longest wait for another edit.
const PATIENCE: Duration = Duration::from_secs(10);

/// Locks the directories of the files until it is dropped. A lock of a file would be one of its old text. A directory that
/// is not there has no file that could change: who reads it says so.
///
/// # Errors
/// When a directory cannot be opened, or somebody else keeps its lock.
pub(super) fn in_turn(files: &[PathBuf]) -> Result<Vec<Flock<File>>, Error> {
    let directories: BTreeSet<PathBuf> = files
        .iter()
        .filter(|file| file.as_os_str() != "-")
        .map(|file| directory(file))
        .collect();
    // In one order, so that two never wait for each other.
    let locks = directories.iter().map(|directory| lock(directory));
    locks.filter_map(Result::transpose).collect()
}

fn directory(file: &Path) -> PathBuf {
    // The file that a symbolic link names is the one that is replaced.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    match file.parent() {
        Some(parent) if !file.is_dir() && parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) if !file.is_dir() => parent.to_owned(),
        _ => file,
    }
}

fn lock(directory: &Path) -> Result<Option<Flock<File>>, Error> {
    let failed = |why: String| {
        Error::new(
            error::ErrorKind::Refused,
            format!("{}: {why}", directory.display()),
        )
    };
    let start = Instant::now();
    loop {
        let opened = match read::directory(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| failed(error.to_string()))?,
        };
        match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(Some(held)),
            Err((_, Errno::EWOULDBLOCK)) if start.elapsed() < PATIENCE => sleep(Duration::from_millis(20)),
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(failed(
                    "another program edits its files; nothing was written".to_owned(),
                ));
            }
            Err((_, errno)) => return Err(failed(errno.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_that_of_the_directory_with_the_text() {
        let scratch = tempfile::tempdir().unwrap();
        let place = scratch.path().canonicalize().unwrap();
        std::fs::create_dir(place.join("real")).unwrap();
        std::fs::write(place.join("real/a.yaml"), "").unwrap();
        std::os::unix::fs::symlink("real/a.yaml", place.join("link.yaml")).unwrap();
        for name in ["real", "real/a.yaml", "real/none.yaml", "link.yaml"] {
            assert_eq!(directory(&place.join(name)), place.join("real"), "{name}");
        }
        assert_eq!(directory(Path::new("none.yaml")), Path::new("."));
    }
}
