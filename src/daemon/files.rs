//! Files whose changes matter: those that netkeel owns and those of the document. Their
//! directories are watched, since files are replaced by renaming others over them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::error::{Error, ErrorKind};

/// What a file is to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// netkeel writes it.
    Owned,
    /// It is one of the document's.
    Document,
}

/// What is watched in a directory: some names, or all of them.
#[derive(Debug, Default)]
struct Watched {
    names: BTreeMap<OsString, BTreeSet<Role>>,
    all: BTreeSet<Role>,
}

/// The watches.
pub struct Files {
    inotify: Inotify,
    directories: BTreeMap<WatchDescriptor, Watched>,
    by_path: BTreeMap<PathBuf, WatchDescriptor>,
}

impl Files {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// When there is no inotify to be had (`fs.inotify.max_user_instances`).
    pub fn new() -> Result<Self, Error> {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let inotify = Inotify::init(flags).map_err(|errno| {
            Error::new(ErrorKind::Refused, format!("watching files: {errno}"))
                .hint("fs.inotify.max_user_instances limits how many programs may do so")
        })?;
        Ok(Files {
            inotify,
            directories: BTreeMap::new(),
            by_path: BTreeMap::new(),
        })
    }

    /// Watches a file, or everything in a directory; whether nothing there was watched before. What
    /// is not there cannot be watched, and the slow look finds it.
    pub fn watch(&mut self, path: &Path, role: Role) -> bool {
        let directory = path.is_dir();
        let (parent, name) = match (directory, path.parent(), path.file_name()) {
            (true, ..) => (path, None),
            (false, Some(parent), Some(name)) if !parent.as_os_str().is_empty() => (parent, Some(name)),
            (false, _, Some(name)) => (Path::new("."), Some(name)),
            _ => return false,
        };
        let is_new = !self.by_path.contains_key(parent);
        let Some(watched) = self.directory(parent) else {
            return false;
        };
        match name {
            Some(name) => drop(watched.names.entry(name.to_owned()).or_default().insert(role)),
            None => drop(watched.all.insert(role)),
        }
        is_new
    }

    fn directory(&mut self, path: &Path) -> Option<&mut Watched> {
        let descriptor = match self.by_path.get(path) {
            Some(descriptor) => *descriptor,
            None => {
                let flags = AddWatchFlags::IN_CLOSE_WRITE
                    | AddWatchFlags::IN_MOVED_TO
                    | AddWatchFlags::IN_MOVED_FROM
                    | AddWatchFlags::IN_DELETE
                    | AddWatchFlags::IN_CREATE
                    | AddWatchFlags::IN_ATTRIB
                    | AddWatchFlags::IN_ONLYDIR;
                let descriptor = self.inotify.add_watch(path, flags).ok()?;
                self.by_path.insert(path.to_owned(), descriptor);
                descriptor
            }
        };
        Some(self.directories.entry(descriptor).or_default())
    }

    /// What changed since, without waiting. Where more happened than there was room for, or a
    /// directory went away, everything counts as changed.
    pub fn take(&mut self) -> BTreeSet<Role> {
        let mut changed = BTreeSet::new();
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        self.changed(event.wd, event.mask, event.name, &mut changed);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return changed,
            }
        }
    }

    fn changed(
        &mut self,
        descriptor: WatchDescriptor,
        mask: AddWatchFlags,
        name: Option<OsString>,
        changed: &mut BTreeSet<Role>,
    ) {
        if mask.intersects(AddWatchFlags::IN_Q_OVERFLOW | AddWatchFlags::IN_IGNORED) {
            changed.extend([Role::Owned, Role::Document]);
            // It may be there again under the same name: the next reload watches it.
            self.directories.remove(&descriptor);
            self.by_path.retain(|_, other| *other != descriptor);
            return;
        }
        let (Some(watched), Some(name)) = (self.directories.get(&descriptor), name) else {
            return;
        };
        changed.extend(watched.names.get(&name).into_iter().flatten());
        // Editors and configuration managers write beside, and rename; Kubernetes replaces the link
        // `..data`, which the files of a ConfigMap are reached by.
        if name == "..data" || !name.as_encoded_bytes().starts_with(b".") {
            changed.extend(&watched.all);
        }
    }
}

impl AsFd for Files {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_watched_is_told_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::create_dir(path("documents")).unwrap();
        let mut files = Files::new().unwrap();
        files.watch(&path("90-netkeel.conf"), Role::Owned);
        files.watch(&path("documents"), Role::Document);
        assert_eq!(files.take(), [].into());
        fs::write(path("other.conf"), "x").unwrap();
        fs::write(path("documents/.hidden.swp"), "x").unwrap();
        assert_eq!(files.take(), [].into());
        fs::write(path("new"), "x").unwrap();
        fs::rename(path("new"), path("90-netkeel.conf")).unwrap();
        assert_eq!(files.take(), [Role::Owned].into());
        fs::write(path("documents/a.yaml"), "x").unwrap();
        assert_eq!(files.take(), [Role::Document].into());
        fs::remove_file(path("documents/a.yaml")).unwrap();
        assert_eq!(files.take(), [Role::Document].into());
        fs::remove_dir_all(path("documents")).unwrap();
        assert!(files.take().contains(&Role::Document));
    }
}
