//! The lock: one netkeel at a time writes in a namespace. It is a lock of the directory of the live journal,
//! so that no full, read-only or cleared file system stands in its way.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::store::Store;
use crate::store::error::failed;
use netkeel_core::error::{Error, ErrorKind};

/// How long to wait for the lock.
#[derive(Clone, Copy, Debug)]
pub struct Patience<'a> {
    longest: Duration,
    interrupted: Option<&'a AtomicBool>,
}

impl<'a> Patience<'a> {
    /// Waits no longer than that, and no longer than until the flag is set, as by a signal.
    pub fn unless(interrupted: &'a AtomicBool, longest: Duration) -> Self {
        Patience {
            longest,
            interrupted: Some(interrupted),
        }
    }
}

impl From<Duration> for Patience<'_> {
    fn from(longest: Duration) -> Self {
        Patience {
            longest,
            interrupted: None,
        }
    }
}

/// Held while something is written. Dropping it lets the next one go.
#[derive(Debug)]
pub struct Lock {
    store: Store,
    held: Flock<File>,
}

impl Store {
    /// Takes the lock. Where nobody holds it, an interruption does not keep it from being taken.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with the holder's pid and command when somebody else keeps it.
    pub fn lock<'a>(&self, actor: &str, patience: impl Into<Patience<'a>>) -> Result<Lock, Error> {
        let patience = patience.into();
        let start = Instant::now();
        loop {
            if let Some(lock) = self.try_now(actor)? {
                return Ok(lock);
            }
            if patience
                .interrupted
                .is_some_and(|flag| flag.load(Ordering::Relaxed))
            {
                return Err(busy(&self.holder_path()).context("interrupted; nothing was written"));
            }
            if start.elapsed() >= patience.longest {
                return Err(busy(&self.holder_path()));
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Takes the lock if nobody holds it.
    pub(crate) fn try_now(&self, actor: &str) -> Result<Option<Lock>, Error> {
        self.make()?;
        self.try_lock(actor, self.open_directory()?)
    }

    /// Takes the lock of an open directory; none when somebody else keeps it, or when the directory was
    /// replaced since.
    fn try_lock(&self, actor: &str, directory: File) -> Result<Option<Lock>, Error> {
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(held) => {
                let same = same_file(&held, &self.run);
                if same {
                    note(&self.holder_path(), actor);
                }
                let store = self.clone();
                Ok(same.then_some(Lock { store, held }))
            }
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(failed(&errno.into(), &self.run)),
        }
    }

    /// Whether somebody holds the lock. Takes it for a moment, shared, and writes nothing.
    ///
    /// # Errors
    /// When the lock cannot be looked at.
    pub(crate) fn is_locked(&self) -> Result<bool, Error> {
        let directory = match self.open_directory() {
            Err(error) if error.kind == ErrorKind::Missing => return Ok(false),
            opened => opened?,
        };
        match Flock::lock(directory, FlockArg::LockSharedNonblock) {
            Ok(_free) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(failed(&errno.into(), &self.run)),
        }
    }

    fn open_directory(&self) -> Result<File, Error> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&self.run)
            .map_err(|error| failed(&error, &self.run))
    }
}

impl Lock {
    /// Takes the lock by a descriptor of the directory, which may be deleted or replaced by now; none when
    /// somebody else keeps it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub(crate) fn adopt(store: &Store, directory: &File) -> Result<Option<Lock>, Error> {
        let again = directory
            .try_clone()
            .map_err(|error| failed(&error, &store.run))?;
        match Flock::lock(again, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Some(Lock {
                store: store.clone(),
                held,
            })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(failed(&errno.into(), &store.run)),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The directory that is locked.
    pub(crate) fn directory(&self) -> &File {
        &self.held
    }

    /// Whether it is the lock that every other netkeel takes: its directory was not replaced.
    pub(crate) fn is_current(&self) -> bool {
        same_file(&self.held, &self.store.run)
    }
}

/// Whether a path leads to an open file.
pub(super) fn same_file(open: &File, path: &Path) -> bool {
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let open = open.metadata().ok().map(id);
    open.is_some() && open == std::fs::symlink_metadata(path).ok().map(id)
}

/// Notes who holds the lock. It is only to be told: a note that cannot be written is no reason not to work.
/// A service takes the lock again and again, and a write costs more than all else that it does for an
/// interface, so that the same note is not written again.
fn note(path: &Path, actor: &str) {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path);
    if let Ok(file) = opened
        && write_over(&file, actor).is_err()
    {
        // On a full file system an old note would name somebody else.
        let _ = file.set_len(0);
    }
}

/// Writes over what a file has, and cuts it where that was longer: a file that is cut to nothing gives its
/// blocks back and gets new ones.
fn write_over(file: &File, actor: &str) -> std::io::Result<()> {
    // In one call, with room for one byte more: what is longer is not the same.
    let mut noted = vec![0; actor.len() + 1];
    let length = file.read_at(&mut noted, 0)?;
    if noted.get(..length) == Some(actor.as_bytes()) {
        return Ok(());
    }
    file.write_all_at(actor.as_bytes(), 0)?;
    match length > actor.len() {
        true => file.set_len(actor.len() as u64),
        false => Ok(()),
    }
}

fn busy(path: &Path) -> Error {
    /// Longest note that is shown, bytes.
    const LONGEST: u64 = 4096;
    let mut holder = String::new();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path);
    let read = match opened {
        Ok(file) => file.take(LONGEST).read_to_string(&mut holder),
        Err(error) => Err(error),
    };
    let holder = match read {
        Ok(1..) => holder,
        Ok(_) => "somebody".to_owned(),
        Err(error) if error.kind() == IoErrorKind::NotFound => "somebody".to_owned(),
        Err(error) => format!("somebody ({}: {error})", path.display()),
    };
    Error::new(
        ErrorKind::Busy,
        format!("another netkeel is at work here: {holder}"),
    )
    .hint("wait for it with --lock-timeout")
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_kernel::files::read;

    #[test]
    fn of_a_note_that_was_longer_nothing_is_left() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lock");
        for actor in [
            "uid 0, pid 4711: netkeel apply",
            "uid 0, pid 1: netkeel",
            "uid 1000, pid 22: netkeel run",
        ] {
            note(&path, actor);
            let told = busy(&path).message;
            assert_eq!(told, format!("another netkeel is at work here: {actor}"));
        }
    }

    #[test]
    fn a_lock_holds_whatever_becomes_of_its_files() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        let refused = |store: &Store| {
            store
                .lock("second", Duration::ZERO)
                .is_err_and(|error| error.message.contains("is at work here"))
        };
        let held = store.lock("first", Duration::ZERO).unwrap();
        assert!(refused(&store));
        std::fs::remove_file(store.holder_path()).unwrap();
        std::fs::create_dir(store.holder_path()).unwrap();
        assert!(refused(&store), "the note was taken for the lock");
        assert!(store.is_locked().unwrap() && held.is_current());
        assert!(
            Lock::adopt(&store, &read::directory(&store.run).unwrap())
                .unwrap()
                .is_none()
        );
        // The directory is another one: the old lock still holds what it held.
        std::fs::rename(&store.run, scratch.path().join("elsewhere")).unwrap();
        assert!(!held.is_current());
        let other = store.lock("second", Duration::ZERO).unwrap();
        drop((held, other));
        assert!(!store.is_locked().unwrap());
    }
}
