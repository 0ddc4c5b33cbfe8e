//! One apply at a time: a lock that the kernel gives back when its holder dies.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::store::Store;
use crate::store::error::failed;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::files::read;
use netkeel_kernel::files::read::Symlinks;

/// Held while something is written. Dropping it lets the next one go.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

impl Store {
    /// Takes the lock, waiting no longer than `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with the holder's pid and command when somebody else keeps it.
    pub fn lock(&self, actor: &str, timeout: Duration) -> Result<Lock, Error> {
        self.make()?;
        let path = self.run.join("lock");
        let start = Instant::now();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(&path)
            .map_err(|error| failed(&error, &path))?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => {
                    note(&held, actor).map_err(|error| failed(&error, &path))?;
                    return Ok(Lock { _held: held });
                }
                Err((back, Errno::EWOULDBLOCK)) if start.elapsed() < timeout => file = back,
                Err((mut back, Errno::EWOULDBLOCK)) => return Err(busy(&mut back, &path)),
                Err((_, errno)) => return Err(failed(&errno.into(), &path)),
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Whether somebody holds the lock. Takes it for a moment, shared, and writes nothing.
    ///
    /// # Errors
    /// When the lock cannot be looked at.
    pub(crate) fn is_locked(&self) -> Result<bool, Error> {
        let path = self.run.join("lock");
        let file = match read::open(&path, Symlinks::Refuse) {
            Ok(file) => file,
            Err(cause) if cause.is_missing() => return Ok(false),
            Err(cause) => return Err(failed(&cause.into(), &path)),
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_free) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(failed(&errno.into(), &path)),
        }
    }
}

/// Notes who holds it. A service takes it again and again, and writing the same anew may cost more than
/// all else that it does for an interface. A file that is cut to nothing gives its blocks back and gets
/// new ones: what was noted is written over, and cut where it was longer.
fn note(file: &File, actor: &str) -> std::io::Result<()> {
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

fn busy(file: &mut File, path: &Path) -> Error {
    let mut holder = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut holder));
    let holder = if read.is_ok() && !holder.is_empty() {
        holder
    } else {
        "somebody".to_owned()
    };
    Error::new(
        ErrorKind::Refused,
        format!("another netkeel is at work here: {holder}"),
    )
    .hint(format!(
        "wait for it with --lock-timeout; the lock is {}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_note_that_was_longer_nothing_is_left() {
        let mut file = tempfile::tempfile().expect("a file");
        for actor in [
            "uid 0, pid 4711: netkeel apply",
            "uid 0, pid 1: netkeel",
            "uid 1000, pid 22: netkeel run",
        ] {
            note(&file, actor).expect("a note");
            let told = busy(&mut file, Path::new("lock")).message;
            assert_eq!(told, format!("another netkeel is at work here: {actor}"));
        }
    }
}
