//! The sign of life of a watchdog: a file that it keeps locked.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::store::error::failed;
use crate::store::{Store, WATCHDOG, log};
use netkeel_core::error::Error;

/// Held by the watchdog of an apply. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct SignOfLife {
    store: Store,
    transaction: String,
    /// The lock ends with the descriptor.
    _held: File,
}

impl Store {
    /// Shows that the watchdog of an apply lives; none when another one does.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn watchdog(&self, transaction: &str) -> Result<Option<SignOfLife>, Error> {
        let path = self.watchdog_path(transaction);
        let file = log::regular(
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600),
            &path,
        )
        .map_err(|error| failed(&error, &path))?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole())) {
            Ok(_) => Ok(Some(SignOfLife {
                store: self.clone(),
                transaction: transaction.to_owned(),
                _held: file,
            })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(errno) => Err(failed(&errno.into(), &path)),
        }
    }

    /// Whether the watchdog of an apply lives. It only asks: a lock that it took for a moment would look like
    /// another watchdog to the one that starts in that moment.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn has_watchdog(&self, transaction: &str) -> Result<bool, Error> {
        let path = self.watchdog_path(transaction);
        let opened = log::regular(OpenOptions::new().read(true), &path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(&error, &path)),
        };
        let mut found = whole();
        match fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found)) {
            Ok(_) => Ok(i32::from(found.l_type) != libc::F_UNLCK),
            Err(errno) => Err(failed(&errno.into(), &path)),
        }
    }

    /// Removes the files of watchdogs that were killed. The caller holds the lock, and no apply is pending, so
    /// that no watchdog begins.
    pub(crate) fn sweep_watchdogs(&self) {
        let names = std::fs::read_dir(&self.run).into_iter().flatten().flatten();
        for name in names.map(|entry| entry.file_name()) {
            let Some(transaction) = name.to_str().and_then(|name| name.strip_prefix(WATCHDOG)) else {
                continue;
            };
            // One that cannot be looked at, or not removed, does no harm.
            if matches!(self.has_watchdog(transaction), Ok(false)) {
                let _ = std::fs::remove_file(self.watchdog_path(transaction));
            }
        }
    }
}

/// An exclusive lock of a whole file.
fn whole() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

impl Drop for SignOfLife {
    fn drop(&mut self) {
        // One that stays is not locked, and means nothing.
        let _ = std::fs::remove_file(self.store.watchdog_path(&self.transaction));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_watchdog_shows_that_it_lives() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        assert!(!store.has_watchdog("t1").unwrap());
        let first = store.watchdog("t1").unwrap().unwrap();
        assert!(store.has_watchdog("t1").unwrap());
        assert!(store.watchdog("t1").unwrap().is_none());
        assert!(!store.has_watchdog("t2").unwrap());
        drop(first);
        assert!(!store.has_watchdog("t1").unwrap());
        assert!(!store.watchdog_path("t1").exists());
    }

    #[test]
    fn a_look_never_keeps_a_watchdog_from_its_work() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        std::fs::write(store.watchdog_path("t1"), "").unwrap();
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    store.has_watchdog("t1").unwrap();
                }
            });
            let begins = (0..2000).all(|_| store.watchdog("t1").unwrap().is_some());
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(begins, "a look was taken for another watchdog");
        });
    }

    #[test]
    fn the_file_of_a_killed_watchdog_is_removed_and_that_of_another_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        std::fs::write(store.watchdog_path("killed"), "").unwrap();
        std::fs::write(store.run.join("other"), "").unwrap();
        let alive = store.watchdog("alive").unwrap().unwrap();
        assert!(matches!(
            store
                .lock("a test", std::time::Duration::ZERO)
                .unwrap()
                .look()
                .unwrap(),
            crate::store::settled::Gate::Settled(_)
        ));
        assert!(!store.watchdog_path("killed").exists());
        assert!(store.watchdog_path("alive").exists() && store.run.join("other").exists());
        drop(alive);
    }
}
