//! Watches the files that netkeel owns and those of the document. Programs replace files by renaming, so
//! the directories are watched.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// The role of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// netkeel writes the file.
    Owned,
    /// The document is read from the file.
    Document,
}

/// The names watched in a directory, or all names.
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

/// The inotify watches. Full scans, and comparisons of the document's files, find changes that the kernel
/// has no instance or watch for.
#[derive(Default)]
pub(crate) struct FileWatches {
    /// `None` while the kernel refuses an instance.
    inotify: Option<Inotify>,
    directories: BTreeMap<WatchDescriptor, Watched>,
    by_path: BTreeMap<PathBuf, WatchDescriptor>,
    /// Why files are not watched, until it is reported.
    trouble: Option<Errno>,
    /// The trouble was reported.
    reported: bool,
}

impl FileWatches {
    /// Creates an inotify instance without watches, if the kernel has one left
    /// (`fs.inotify.max_user_instances`, RLIMIT_NOFILE).
    pub(crate) fn new() -> Self {
        let mut files = FileWatches::default();
        files.start(Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC));
        files
    }

    fn start(&mut self, started: Result<Inotify, Errno>) {
        match started {
            Ok(inotify) => self.inotify = Some(inotify),
            Err(errno) => self.trouble = Some(errno),
        }
    }

    /// The descriptor to wait for.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Why some files are not watched; once, although every scan may fail to watch them.
    pub(crate) fn trouble(&mut self) -> Option<Errno> {
        let trouble = self.trouble.take().filter(|_| !self.reported);
        self.reported |= trouble.is_some();
        trouble
    }

    /// Watches a file, or everything in a directory; returns whether the directory had no watch before. A
    /// missing directory cannot be watched; full scans cover it.
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

    /// Replaces the watches of the document. The name in its directory and the target of a symbolic link
    /// are both watched, because either may be replaced.
    pub(crate) fn watch_document(&mut self, paths: &[PathBuf]) {
        const ROLE: Role = Role::Document;
        // A path may now name another directory. Adding a watch twice returns the same descriptor.
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
        let inotify = self.inotify.as_ref();
        self.directories.retain(|descriptor, watched| {
            let wanted = !watched.is_empty();
            if !wanted {
                // The directory may already be deleted.
                let _ = inotify.map(|inotify| inotify.rm_watch(*descriptor));
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
                let descriptor = match self.inotify.as_ref()?.add_watch(path, flags) {
                    Ok(descriptor) => descriptor,
                    // `fs.inotify.max_user_watches`, or no memory. Others are about the path.
                    Err(errno @ (Errno::ENOSPC | Errno::ENOMEM)) => {
                        self.trouble = Some(errno);
                        return None;
                    }
                    Err(_) => return None,
                };
                self.by_path.insert(path.to_owned(), descriptor);
                descriptor
            }
        };
        Some(self.directories.entry(descriptor).or_default())
    }

    /// Returns the roles of the files that changed, without blocking. After a queue overflow, or when a
    /// directory was deleted, all its files count as changed.
    pub fn take(&mut self) -> BTreeSet<Role> {
        let mut changed = BTreeSet::new();
        loop {
            let Some(inotify) = &self.inotify else {
                return changed;
            };
            match inotify.read_events() {
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
        // Kubernetes updates a ConfigMap by replacing the symbolic link `..data`. When a directory is moved or
        // deleted, all its files change.
        let all = name.as_ref().is_none_or(|name| name == "..data");
        match name {
            Some(name) if !all => {
                changed.extend(watched.names.get(&name).into_iter().flatten());
                // Editors and configuration managers write a hidden temporary file and rename it.
                if !name.as_encoded_bytes().starts_with(b".") {
                    changed.extend(&watched.all);
                }
            }
            _ => {
                changed.extend(&watched.all);
                changed.extend(watched.names.values().flatten());
            }
        }
        // A new directory may take the name; the next scan watches it.
        let gone = AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_MOVE_SELF;
        if mask.intersects(gone) {
            self.by_path.retain(|_, other| *other != descriptor);
        }
        if mask.contains(AddWatchFlags::IN_IGNORED) {
            self.directories.remove(&descriptor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_watched_files_are_reported() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::create_dir(path("documents")).unwrap();
        let mut files = FileWatches::new();
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
    fn without_an_instance_nothing_is_watched_and_that_is_said_once() {
        let scratch = tempfile::tempdir().unwrap();
        let mut files = FileWatches::default();
        files.start(Err(Errno::EMFILE));
        for _ in 0..2 {
            files.watch_document(&[scratch.path().into()]);
            assert!(!files.watch(scratch.path(), Role::Owned));
            assert!(files.take().is_empty() && files.descriptor().is_none());
        }
        assert_eq!(files.trouble(), Some(Errno::EMFILE));
        files.trouble = Some(Errno::ENOSPC);
        assert_eq!(files.trouble(), None);
    }

    #[test]
    fn a_document_is_watched_whatever_it_is_replaced_by() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let mut files = FileWatches::new();
        let mut reported = |paths: &[&str], change: &dyn Fn()| {
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
        assert!(reported(&["cm/a.yaml"], &|| link("cm/..data", "..2")));
        // A directory that is replaced, recreated, or a symbolic link.
        make("here");
        make("there");
        let swap = || {
            fs::rename(path("here"), path("old")).unwrap();
            fs::rename(path("there"), path("here")).unwrap();
        };
        assert!(reported(&["here"], &swap));
        assert!(reported(&["here"], &|| fs::remove_dir_all(path("here")).unwrap()));
        assert!(reported(&["here"], &|| make("here")));
        make("s1");
        make("s2");
        link("cur", "s1");
        assert!(reported(&["cur"], &|| link("cur", "s2")));
        assert!(reported(&["cur"], &|| fs::write(path("s2/b.yaml"), "x").unwrap()));
        assert!(!reported(&["cur"], &|| fs::write(path("s1/b.yaml"), "x").unwrap()));
        // The target of a symbolic link.
        link("one.yaml", "s1/a.yaml");
        assert!(reported(&["one.yaml"], &|| fs::write(path("s1/a.yaml"), "x").unwrap()));
    }
}
