//! The sign of life of a watchdog: a file that it keeps locked.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::store::error::failed;
use crate::store::{Store, log};
use netkeel_core::error::Error;

/// Held by the watchdog of an apply. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct SignOfLife {
    store: Store,
    transaction: String,
    _held: Flock<File>,
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
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Some(SignOfLife {
                store: self.clone(),
                transaction: transaction.to_owned(),
                _held: held,
            })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(failed(&errno.into(), &path)),
        }
    }

    /// Whether the watchdog of an apply lives.
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
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_free) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(failed(&errno.into(), &path)),
        }
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
}
