//! Files that hold keys: written for this user alone, into a directory that nobody else can write.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::{fs, io};

use nix::unistd::geteuid;

use crate::files::read::Symlinks;
use crate::files::{file, read};
use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Value;
use netkeel_core::op::copy_mtu::CopyMtu;
use netkeel_host::wireguard::copy;
use netkeel_host::wireguard::copy::{Copied, MODE};

/// Longest configuration that is read, bytes.
const LONGEST: u64 = 1024 * 1024;

/// Reads a text, also by symbolic links, as a mounted Secret has them.
///
/// # Errors
/// When it cannot be read, or is no text. No message shows a part of it.
pub fn read(path: &Path) -> Result<String, Error> {
    read::text(path, Symlinks::Follow, LONGEST).map_err(|cause| Error::from(cause).context(path.display()))
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
    let refused =
        |message: String| Err(Error::new(ErrorKind::Refused, message).hint("name a directory of your own"));
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

/// Looks at a copy of a configuration and at what it is a copy of, and says nothing of their texts.
pub(crate) fn look(source: &Path, target: &Path) -> Result<Copied, Error> {
    let there = match fs::metadata(source) {
        Err(cause)
            if matches!(
                cause.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            false
        }
        found => found
            .map(|_| true)
            .map_err(|cause| error(cause).context(source.display()))?,
    };
    let of = if there { Some(read(source)?) } else { None };
    if let Some(text) = &of {
        // A text that cannot take an MTU is not a configuration.
        copy::write(text, Some(1)).map_err(|error| error.context(source.display()))?;
    }
    let is = file::read(target).map_err(|error| error.context(target.display()))?;
    Ok(Copied {
        source: source.to_path_buf(),
        source_there: there,
        is: is.map(|file| copy::judge(of.as_deref(), &file.content, file.mode)),
    })
}

/// Puts a copy in place or takes it away, unless somebody else has changed it since it was looked at.
pub(crate) fn set_mtu(source: &Path, target: &Path, was: Option<&Value>, to: CopyMtu) -> Result<(), Error> {
    let is = look(source, target)?.is;
    let wanted = to.value();
    if is == wanted {
        // A write that was killed may have left a temporary file.
        return file::tidy(target);
    }
    if is.as_ref() != was {
        let show = |value: Option<&Value>| value.map_or("absent".to_owned(), ToString::to_string);
        let message = format!(
            "somebody else has written it since it was read: it was {} and is {}",
            show(was),
            show(is.as_ref())
        );
        return Err(Error::new(ErrorKind::Refused, message).hint("look again"));
    }
    let mtu = match to {
        CopyMtu::Remove => return file::remove(target),
        CopyMtu::AsSource => None,
        CopyMtu::Bytes(mtu) => Some(mtu),
    };
    let same = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
    if source != target && same(source).is_some() && same(source) == same(target) {
        let message = format!(
            "the copy would take the place of {}, which is only read",
            source.display()
        );
        return Err(Error::new(ErrorKind::Refused, message)
            .hint("both directories are the same one: name another for the copy"));
    }
    write(target, &copy::write(&read(source)?, mtu.map(i64::from))?)
}
