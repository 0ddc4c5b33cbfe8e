//! Files whose changes matter: those that netkeel owns and those of the document. Their
//! directories are watched, since files are replaced by renaming others over them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use netkeel_core::error::{Error, ErrorKind};

/// What a file is to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// netkeel writes it.
    Owned,
    /// It is one of the document's.
    Document,
}

/// What is watched in a directory: some names, or all of them.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    names: BTreeMap<OsString, BTreeSet<Role>>,
    all: BTreeSet<Role>,
}

impl Watched {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.all.is_empty()
    }
}

/// The watches.
pub(crate) struct Files {
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
        if !path.is_dir() {
            return self.watch_name(path, role);
        }
        let Some(watched) = self.directory(path) else {
            return false;
        };
        let is_new = watched.is_empty();
        watched.all.insert(role);
        is_new
    }

    /// Watches what the document is read from, anew: whatever was there before. A name in its
    /// directory is watched too, and where a link leads, since either may be replaced.
    pub(crate) fn watch_document(&mut self, paths: &[PathBuf]) {
        const ROLE: Role = Role::Document;
        // The same path may be another directory by now. To watch one twice is to watch it once.
        self.by_path.clear();
        for watched in self.directories.values_mut() {
            watched.all.remove(&ROLE);
            watched.names.retain(|_, roles| {
                roles.remove(&ROLE);
                !roles.is_empty()
            });
        }
        for path in paths {
            let target = path.canonicalize().unwrap_or_else(|_| path.clone());
            for path in [path, &target] {
                self.watch_name(path, ROLE);
                if path.is_dir() {
                    self.watch(path, ROLE);
                }
            }
        }
        let inotify = &self.inotify;
        self.directories.retain(|descriptor, watched| {
            let wanted = !watched.is_empty();
            if !wanted {
                // It may be gone already.
                let _ = inotify.rm_watch(*descriptor);
            }
            wanted
        });
    }

    fn watch_name(&mut self, path: &Path, role: Role) -> bool {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let Some(name) = path.file_name() else {
            return false;
        };
        let Some(watched) = self.directory(parent.unwrap_or(Path::new("."))) else {
            return false;
        };
        let is_new = watched.is_empty();
        watched.names.entry(name.to_owned()).or_default().insert(role);
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
                    | AddWatchFlags::IN_MOVE_SELF
                    | AddWatchFlags::IN_DELETE_SELF
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
        if mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            changed.extend([Role::Owned, Role::Document]);
            return;
        }
        let Some(watched) = self.directories.get(&descriptor) else {
            return;
        };
        // Kubernetes replaces the link `..data`, which the files of a ConfigMap are reached by. Of a
        // directory that moved or went all is another.
        let all = name.as_ref().is_none_or(|name| name == "..data");
        match name {
            Some(name) if !all => {
                changed.extend(watched.names.get(&name).into_iter().flatten());
                // Editors and configuration managers write beside, and rename.
                if !name.as_encoded_bytes().starts_with(b".") {
                    changed.extend(&watched.all);
                }
            }
            _ => {
                changed.extend(&watched.all);
                changed.extend(watched.names.values().flatten());
            }
        }
        // It may be there again under the same name: the next look watches it.
        let gone = AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_MOVE_SELF;
        if mask.intersects(gone) {
            self.by_path.retain(|_, other| *other != descriptor);
        }
        if mask.contains(AddWatchFlags::IN_IGNORED) {
            self.directories.remove(&descriptor);
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

    #[test]
    fn a_document_is_watched_whatever_it_is_replaced_by() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let mut files = Files::new().unwrap();
        let mut told = |paths: &[&str], change: &dyn Fn()| {
            let paths: Vec<PathBuf> = paths.iter().map(|name| path(name)).collect();
            files.watch_document(&paths);
            files.take();
            change();
            files.take() == [Role::Document].into()
        };
        let make = |name: &str| {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("a.yaml"), name).unwrap();
        };
        let link = |name: &str, to: &str| {
            std::os::unix::fs::symlink(to, path("new")).unwrap();
            fs::rename(path("new"), path(name)).unwrap();
        };
        // A mounted ConfigMap.
        make("cm");
        make("cm/..1");
        make("cm/..2");
        fs::remove_file(path("cm/a.yaml")).unwrap();
        link("cm/..data", "..1");
        link("cm/a.yaml", "..data/a.yaml");
        assert!(told(&["cm/a.yaml"], &|| link("cm/..data", "..2")));
        // A directory that another takes the place of, that is made again, or that is a link.
        make("here");
        make("there");
        let swap = || {
            fs::rename(path("here"), path("old")).unwrap();
            fs::rename(path("there"), path("here")).unwrap();
        };
        assert!(told(&["here"], &swap));
        assert!(told(&["here"], &|| fs::remove_dir_all(path("here")).unwrap()));
        assert!(told(&["here"], &|| make("here")));
        make("s1");
        make("s2");
        link("cur", "s1");
        assert!(told(&["cur"], &|| link("cur", "s2")));
        assert!(told(&["cur"], &|| fs::write(path("s2/b.yaml"), "x").unwrap()));
        assert!(!told(&["cur"], &|| fs::write(path("s1/b.yaml"), "x").unwrap()));
        // The file that a link leads to.
        link("one.yaml", "s1/a.yaml");
        assert!(told(&["one.yaml"], &|| fs::write(path("s1/a.yaml"), "x").unwrap()));
    }
}
