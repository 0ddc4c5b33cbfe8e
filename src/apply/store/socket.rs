//! The socket at which a service answers `netkeel status`: one service for each namespace.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::store::Store;
use crate::store::error::failed;
use netkeel_core::error::{Error, ErrorKind};

/// A socket at which a service listens.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub listener: UnixListener,
    /// Keeps other services out.
    pub lock: ServiceLock,
}

/// Keeps other services out while it is held.
#[derive(Debug)]
pub struct ServiceLock {
    _held: Flock<File>,
}

impl Store {
    /// Where the service listens.
    fn socket_path(&self) -> PathBuf {
        self.run.join("status.sock")
    }

    /// Listens; the socket is root's only.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when another service runs already.
    pub fn listen(&self) -> Result<Listening, Error> {
        self.make()?;
        let path = self.socket_path();
        let another = |why: String| {
            let message = format!("another service runs here: {why}");
            Error::new(ErrorKind::Refused, message).hint("netkeel status shows it")
        };
        // Of two that start together only one gets this. One that starts or stops has it and does not answer.
        let Some(lock) = self.lock_service()? else {
            return Err(another(format!("it holds {}", self.lock_path().display())));
        };
        match UnixStream::connect(&path) {
            Ok(_) => return Err(another(format!("it answers at {}", path.display()))),
            Err(error) if is_dead(&error) => {}
            // Whether one runs is not known, and its socket must not be taken from it.
            Err(error) => return Err(failed(&error, &path)),
        }
        // A service that was killed leaves its socket.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error, &path)),
            _ => {}
        }
        // A directory keeps others out until the mode is right.
        let room = self.run.join("status.new");
        let made = bind_in(&room, &path).map_err(|error| failed(&error, &path));
        let _ = fs::remove_dir_all(&room);
        let listener = made?;
        Ok(Listening { listener, lock })
    }

    fn lock_path(&self) -> PathBuf {
        self.run.join("service.lock")
    }

    /// Takes the lock of the service; none when somebody else keeps it. The file stays: one that is deleted while
    /// somebody waits for it is another file.
    fn lock_service(&self) -> Result<Option<ServiceLock>, Error> {
        let path = self.lock_path();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(&path)
            .map_err(|error| failed(&error, &path))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Some(ServiceLock { _held: held })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(failed(&errno.into(), &path)),
        }
    }

    /// Listens no longer.
    pub fn listen_no_longer(&self) {
        let _ = fs::remove_file(self.socket_path());
    }

    /// Connects to the service.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] when none runs.
    pub fn connect(&self) -> Result<UnixStream, Error> {
        let path = self.socket_path();
        UnixStream::connect(&path).map_err(|error| match is_dead(&error) {
            true => Error::new(ErrorKind::Missing, "the netkeel service is not running")
                .hint("start it with `systemctl start netkeel`"),
            false => failed(&error, &path),
        })
    }
}

/// Binds in a directory of the owner alone, then renames the socket.
fn bind_in(room: &Path, path: &Path) -> io::Result<UnixListener> {
    match DirBuilder::new().mode(0o700).create(room) {
        // A netkeel that was killed leaves it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_dir_all(room)?;
            DirBuilder::new().mode(0o700).create(room)?;
        }
        made => made?,
    }
    let new = room.join("sock");
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

/// Nobody listens: there is no socket, or a service left it that was killed.
fn is_dead(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_services_that_start_together_one_runs() {
        let scratch = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            let store = Store::at(scratch.path());
            let start = std::sync::Barrier::new(4);
            let begin = || {
                start.wait();
                store.listen()
            };
            let begun: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let (run, refused): (Vec<_>, Vec<_>) = begun.into_iter().partition(Result::is_ok);
            assert_eq!(run.len(), 1);
            let told = |error: &Error| error.message.starts_with("another service runs here");
            assert!(refused.len() == 3 && refused.iter().all(|begun| begun.as_ref().is_err_and(told)));
            assert!(store.connect().is_ok());
        }
    }

    #[test]
    fn a_service_that_does_not_answer_yet_is_not_said_to_answer() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        let lock = store.lock_service().unwrap();
        let error = store.listen().unwrap_err();
        assert!(error.message.contains("it holds") && error.message.ends_with("service.lock"));
        drop(lock);
        let listening = store.listen().unwrap();
        drop(listening.lock);
        let error = store.listen().unwrap_err();
        assert!(error.message.contains("it answers at"), "{error:?}");
    }

    #[test]
    fn only_a_socket_at_which_nobody_listens_is_taken_over() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store {
            run: scratch.path().join("run"),
            state: scratch.path().join("run"),
            boot: String::new(),
        };
        assert_eq!(store.connect().unwrap_err().kind, ErrorKind::Missing);
        let first = store.listen().unwrap();
        assert_eq!(store.listen().unwrap_err().kind, ErrorKind::Refused);
        drop(first);
        assert_eq!(store.connect().unwrap_err().kind, ErrorKind::Missing);
        drop(store.listen().unwrap());
        // Nothing tells whether somebody listens behind this.
        fs::remove_file(store.socket_path()).unwrap();
        std::os::unix::fs::symlink(store.socket_path(), store.socket_path()).unwrap();
        assert_ne!(store.connect().unwrap_err().kind, ErrorKind::Missing);
        assert!(store.listen().is_err());
        assert!(fs::symlink_metadata(store.socket_path()).is_ok());
    }
}
