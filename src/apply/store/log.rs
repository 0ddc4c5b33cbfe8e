//! Files of lines that are only appended to. A line that a crash tore has no newline at its end
//! and is cut off before the next one is written.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;

use crate::store::error::failed;
use netkeel_core::error::Error;
use netkeel_core::maybe_secret::reveal;
use netkeel_kernel::files::read;
use netkeel_kernel::files::read::{ReadError, Symlinks};

/// Longest log that is read, bytes: more than a journal needs, because one that is not read is not undone.
const LONGEST: u64 = 1 << 30;

/// Opens a regular file. Another one that lies in its place is an error: a FIFO would be waited for, and a
/// link leads elsewhere.
pub(in crate::store) fn regular(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = options.custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is not a regular file")),
    }
}

/// The text of a log; `None` if it does not exist.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Error> {
    match read::text(path, Symlinks::Refuse, LONGEST) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.is_missing() => Ok(None),
        Err(cause) => Err(failed(&cause.into(), path)),
    }
}

/// The text of a log, and its inode, which tells it from another log that is there now. It does not tell it from one that
/// was there before: file systems reuse inodes. `None` if the log does not exist.
pub(crate) fn read_with_inode(path: &Path) -> Result<Option<(u64, String)>, Error> {
    let read = || -> Result<(u64, String), ReadError> {
        let mut file = read::open(path, Symlinks::Refuse)?;
        let inode = file.metadata()?.ino();
        let bytes = read::rest(&mut file, LONGEST)?;
        let text = String::from_utf8(bytes).map_err(|_| ReadError::NotText)?;
        Ok((inode, text))
    };
    match read() {
        Ok(found) => Ok(Some(found)),
        Err(cause) if cause.is_missing() => Ok(None),
        Err(cause) => Err(failed(&cause.into(), path)),
    }
}

/// The text after `offset` bytes of a log that begins with this line; `None` if it does not, or is shorter.
pub(crate) fn read_on(path: &Path, first: &str, offset: u64) -> Result<Option<String>, Error> {
    let read = || -> Result<Option<String>, ReadError> {
        let mut file = read::open(path, Symlinks::Refuse)?;
        let length = file.metadata()?.len();
        let mut begin = vec![0; first.len()];
        if length < offset || length < first.len() as u64 {
            return Ok(None);
        }
        file.read_exact(&mut begin)?;
        if begin != first.as_bytes() {
            return Ok(None);
        }
        if length == offset {
            return Ok(Some(String::new()));
        }
        file.seek(SeekFrom::Start(offset))?;
        let bytes = read::rest(&mut file, LONGEST)?;
        String::from_utf8(bytes).map(Some).map_err(|_| ReadError::NotText)
    };
    match read() {
        Err(cause) if cause.is_missing() => Ok(None),
        read => read.map_err(|cause| failed(&cause.into(), path)),
    }
}

/// Opens a log to append to it: mode 0600, made when it is not there.
pub(crate) fn append_to(path: &Path) -> Result<File, Error> {
    let open = || -> std::io::Result<File> {
        let mut file = regular(
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600),
            path,
        )?;
        to_the_end(&mut file)?;
        Ok(file)
    };
    open().map_err(|error| failed(&error, path))
}

/// Opens a log that is there, to append to it, if its first line is the right one. Another log is left as it is: to cut what
/// is torn could take everything out of it, which is a commit.
pub(crate) fn go_on(path: &Path, is_right: impl FnOnce(&str) -> Result<(), Error>) -> Result<File, Error> {
    let open = || -> std::io::Result<(String, File)> {
        let file = regular(OpenOptions::new().read(true).write(true), path)?;
        let mut first = String::new();
        BufReader::new(&file).take(LONGEST).read_line(&mut first)?;
        Ok((first, file))
    };
    let (first, mut file) = open().map_err(|error| failed(&error, path))?;
    is_right(&first)?;
    to_the_end(&mut file).map_err(|error| failed(&error, path))?;
    Ok(file)
}

/// Goes to the end of a log, and cuts a line that was torn.
fn to_the_end(file: &mut File) -> std::io::Result<()> {
    let length = file.metadata()?.len();
    let whole = whole_lines(file, length)?;
    if whole < length {
        file.set_len(whole)?;
    }
    file.seek(SeekFrom::Start(whole))?;
    Ok(())
}

/// Opens a log that begins anew: mode 0600, made when it is not there.
pub(crate) fn begin(path: &Path) -> Result<File, Error> {
    let open = regular(
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600),
        path,
    );
    open.map_err(|error| failed(&error, path))
}

/// Up to which byte a log has whole lines. It is read from its end, since a history grows long.
fn whole_lines(file: &mut File, length: u64) -> std::io::Result<u64> {
    const STEP: u64 = 4096;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        // With room for all of it, it is read at once.
        let mut bytes = Vec::with_capacity(STEP as usize + 1);
        file.seek(SeekFrom::Start(start))?;
        (&mut *file).take(end - start).read_to_end(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// There is no log, or nothing in it.
pub(crate) fn is_empty(path: &Path) -> Result<bool, Error> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed(&error, path)),
    }
}

/// Nothing stands in an open log: not even a first line, which may have been torn and cut off.
pub(crate) fn is_new(file: &File, path: &Path) -> Result<bool, Error> {
    let metadata = file.metadata().map_err(|error| failed(&error, path))?;
    Ok(metadata.len() == 0)
}

/// Appends a line and, when `durable`, makes it survive a power cut.
pub(crate) fn append(path: &Path, line: &str, durable: bool) -> Result<(), Error> {
    let mut file = append_to(path)?;
    // Its own entry is as old as the file.
    let new = durable && file.metadata().is_ok_and(|metadata| metadata.len() == 0);
    write(&mut file, line, durable, path)?;
    if new { sync_directory(path) } else { Ok(()) }
}

/// Writes a whole line to an open log.
fn write(file: &mut File, line: &str, durable: bool, path: &Path) -> Result<(), Error> {
    let mut done = file.write_all(line.as_bytes());
    if durable {
        done = done.and_then(|()| file.sync_data());
    }
    done.map_err(|error| failed(&error, path))
}

/// Writes a value as a line of JSON. A crash may leave a torn line.
pub(crate) fn write_json(
    file: &mut File,
    value: &impl Serialize,
    durable: bool,
    path: &Path,
) -> Result<(), Error> {
    let line = json_line(value).map_err(|error| failed(&error, path))?;
    write(file, &line, durable, path)
}

/// Writes a first line, where there is one, and others, each as JSON. A crash may leave some of the lines,
/// and the last of them torn.
pub(crate) fn write_lines(
    file: &mut File,
    first: Option<&impl Serialize>,
    lines: &[impl Serialize],
    durable: bool,
    path: &Path,
) -> Result<(), Error> {
    let mut write = || -> std::io::Result<()> {
        let mut out = BufWriter::with_capacity(64 * 1024, &mut *file);
        for line in first
            .into_iter()
            .map(json_line)
            .chain(lines.iter().map(json_line))
        {
            out.write_all(line?.as_bytes())?;
        }
        out.flush()
    };
    let mut done = write();
    if durable {
        done = done.and_then(|()| file.sync_data());
    }
    done.map_err(|error| failed(&error, path))
}

/// A line of a log, which only root can read. Undo needs the text of secrets.
fn json_line(value: &impl Serialize) -> std::io::Result<String> {
    Ok(reveal(|| serde_json::to_string(value))? + "\n")
}

/// Makes what was written to an open log survive a power cut, and the log itself where it is new.
pub(crate) fn sync(file: &File, new: bool, path: &Path) -> Result<(), Error> {
    file.sync_data().map_err(|error| failed(&error, path))?;
    if new { sync_directory(path) } else { Ok(()) }
}

/// Removes a log, and makes that survive a power cut; whether it was there. One that is not there was removed so
/// before.
pub(crate) fn remove(path: &Path) -> Result<bool, Error> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_directory(path).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(&error, path)),
    }
}

/// Takes everything out of a log of which nothing survives a power cut anyway. The file stays: making
/// one takes longer than all that is written to it.
pub(crate) fn empty(path: &Path) -> Result<(), Error> {
    let open = regular(OpenOptions::new().write(true), path);
    match open.and_then(|file| file.set_len(0)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&error, path)),
        _ => Ok(()),
    }
}

/// Renames a log that has so many bytes, over the one that was set aside before, unless `keeps` wants the
/// text of that one. A crash leaves both names or one, and nothing torn.
pub(crate) fn set_aside(
    path: &Path,
    aside: &Path,
    long: u64,
    keeps: &dyn Fn(&str) -> bool,
) -> Result<(), Error> {
    let is_long = |metadata: std::fs::Metadata| metadata.len() >= long;
    // One that cannot be looked at cannot be written to either, and that is said then.
    if !std::fs::symlink_metadata(path).is_ok_and(is_long) {
        return Ok(());
    }
    if read(aside)?.is_some_and(|text| keeps(&text)) {
        return Ok(());
    }
    std::fs::rename(path, aside).map_err(|error| failed(&error, path))
}

/// Replaces a log by another text: writes a temporary file in its directory, syncs and renames it.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let write = || -> std::io::Result<()> {
        // A name of its own: not every file that is replaced here is replaced under the lock.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = directory.join(format!(".{name}.{}.tmp", std::process::id()));
        let mut file = regular(
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600),
            &temporary,
        )?;
        let placed = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&temporary, path));
        placed.inspect_err(|_| drop(std::fs::remove_file(&temporary)))
    };
    write().map_err(|error| failed(&error, path))?;
    sync_directory(path)
}

/// Makes the directory entry of a file survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let synced = read::directory(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed(&error, directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_off_before_the_next() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        append(&path, "one\n", true).unwrap();
        append(&path, "tor", false).unwrap();
        append(&path, "two\n", true).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("one\ntwo\n"));
        append(&path, &"torn".repeat(5000), false).unwrap();
        append(&path, "three\n", true).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("one\ntwo\nthree\n"));
        replace(&path, "three\n").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("three\n"));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
    }
}
