//! Files: read whole, written by a temporary file in the same directory that is renamed into
//! place, so that a reader sees the old text or the new one, also after a crash.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::errno::Errno;

use crate::files::read;
use crate::files::read::{ReadError, Symlinks};
use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_host::snapshot::reading::File;

/// Permission bits in a mode.
const PERMISSIONS: u32 = 0o7777;

/// Reads a file; `None` if it does not exist.
pub(crate) fn read(path: &Path) -> Result<Option<File>, Error> {
    let mut file = match read::open(path, Symlinks::Refuse) {
        Ok(file) => file,
        Err(cause) if cause.is_missing() => return Ok(None),
        Err(ReadError::Io(cause)) if cause.raw_os_error() == Some(libc::ELOOP) => return Err(symlink(path)),
        Err(cause) => return Err(cause.into()),
    };
    let mode = file.metadata().map_err(error)?.mode() & PERMISSIONS;
    let bytes = read::rest(&mut file, read::LONGEST)?;
    let content = String::from_utf8(bytes).map_err(|_| Error::from(ReadError::NotText))?;
    Ok(Some(File {
        content: content.into(),
        mode,
    }))
}

/// Puts a file in place. A missing directory is made, one level, as /etc/sysctl.d may be. A file
/// that is replaced keeps its owner.
pub(crate) fn write(path: &Path, content: &str, mode: u32) -> Result<(), Error> {
    let directory = directory(path)?;
    refuse_symlink(path)?;
    match DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => sync(directory.parent().unwrap_or(directory))?,
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(error(cause).context(format_args!("making {}", directory.display()))),
    }
    let temporary = temporary(path);
    unlink(&temporary)?;
    let placed = fill(&temporary, path, content, mode).and_then(|()| fs::rename(&temporary, path));
    placed.map_err(|cause| {
        // It is of no use to anybody; should it stay, the next write takes its place.
        let _ = fs::remove_file(&temporary);
        error(cause)
    })?;
    sync(directory)
}

/// Writes what is to be renamed to `path`.
fn fill(temporary: &Path, path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(temporary)?;
    file.write_all(content.as_bytes())?;
    if let Ok(replaced) = fs::symlink_metadata(path) {
        fchown(&file, Some(replaced.uid()), Some(replaced.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(mode & PERMISSIONS))?;
    file.sync_all()
}

/// Removes a file; one that is not there is removed. So is what a crash left of writing it.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    let directory = directory(path)?;
    refuse_symlink(path)?;
    let left = unlink(&temporary(path))?;
    if unlink(path)? || left {
        sync(directory)
    } else {
        Ok(())
    }
}

/// Removes what a crash left of writing a file that is as it should be.
pub(crate) fn tidy(path: &Path) -> Result<(), Error> {
    if unlink(&temporary(path))? {
        sync(directory(path)?)?;
    }
    Ok(())
}

/// Whether there was anything to unlink.
fn unlink(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(cause) if matches!(cause.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(false),
        Err(cause) => Err(error(cause)),
    }
}

/// The name under which a file is written before it is renamed: always the same, so that a crash
/// leaves one at most and undoing finds it. No reader takes it for one of its own: sysctl.d wants
/// `.conf`, CNI `.conf`, `.conflist` or `.json`. In the same directory, since a rename from
/// elsewhere is a new file to a watcher, and containerd reloads on a rename only.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.netkeel.tmp"))
}

fn directory(path: &Path) -> Result<&Path, Error> {
    match (path.is_absolute(), path.parent(), path.file_name()) {
        (true, Some(parent), Some(_)) => Ok(parent),
        _ => Err(Error::new(
            ErrorKind::Input,
            format!("`{}` is not the absolute path of a file", path.display()),
        )),
    }
}

/// A symbolic link is somebody's intent: to /dev/null it masks a drop-in (sysctl.d(5)).
fn refuse_symlink(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(symlink(path)),
        _ => Ok(()),
    }
}

fn symlink(path: &Path) -> Error {
    let target = fs::read_link(path).unwrap_or_else(|_| PathBuf::from("?"));
    Error::new(
        ErrorKind::Refused,
        format!("it is a symbolic link to {}", target.display()),
    )
    .hint("netkeel follows none: remove the link, or name the file it points to")
}

/// Makes what was done in a directory survive a crash.
fn sync(directory: &Path) -> Result<(), Error> {
    let synced = read::directory(directory).and_then(|directory| directory.sync_all());
    match synced {
        Ok(()) => Ok(()),
        // Some file systems (9p, FUSE) cannot sync a directory.
        Err(cause) if cause.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        Err(cause) => Err(error(cause).context(format_args!("syncing {}", directory.display()))),
    }
}

/// The kernel's own word for a path that is not there.
pub(crate) fn exists(path: impl AsRef<Path>) -> Result<bool, Errno> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(cause) if matches!(cause.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(false),
        Err(cause) => Err(Errno::from_raw(cause.raw_os_error().unwrap_or(libc::EIO))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_written_read_and_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("sysctl.d/90-netkeel.conf");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, "a = 1\n", 0o640).unwrap();
        write(&path, "a = 2\n", 0o644).unwrap();
        let file = read(&path).unwrap().unwrap();
        assert_eq!((&*file.content, file.mode), ("a = 2\n", 0o644));
        let entries = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(entries, 1, "a temporary file was left");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn what_a_crash_left_of_writing_a_file_goes_with_the_next_write_or_removal() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("90-netkeel.conf");
        type Step = fn(&Path) -> Result<(), Error>;
        let steps: [Step; 3] = [|path| write(path, "a = 1\n", 0o644), tidy, remove];
        for step in steps {
            fs::write(temporary(&path), "a").unwrap();
            step(&path).unwrap();
            assert!(!temporary(&path).exists());
        }
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_symbolic_link_is_left_as_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("90-netkeel.conf");
        symlink("/dev/null", &path).unwrap();
        let messages: Vec<String> = [read(&path).map(|_| ()), write(&path, "", 0o644), remove(&path)]
            .map(|result| result.unwrap_err().message)
            .to_vec();
        assert_eq!(messages, ["it is a symbolic link to /dev/null"; 3]);
        assert!(path.is_symlink());
    }

    #[test]
    fn what_is_not_text_is_unreadable() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        fs::write(&path, [0xff]).unwrap();
        assert_eq!(read(&path).unwrap_err().kind, ErrorKind::Unreadable);
        assert_eq!(read(scratch.path()).unwrap_err().kind, ErrorKind::Unreadable);
        let relative = write(Path::new("file"), "", 0o644).unwrap_err();
        assert_eq!(relative.kind, ErrorKind::Input);
    }
}
