//! The socket at which a service answers `netkeel status`: one service for each namespace.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::{fs, io};

use crate::store::Store;
use crate::store::error::failed;
use netkeel_core::error::{Error, ErrorKind};

impl Store {
    /// Where the service listens.
    fn socket_path(&self) -> PathBuf {
        self.run.join("status.sock")
    }

    /// Listens; the socket is root's only.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when another service answers there already.
    pub fn listen(&self) -> Result<UnixListener, Error> {
        self.make()?;
        let path = self.socket_path();
        if UnixStream::connect(&path).is_ok() {
            let message = format!("another service runs here: it answers at {}", path.display());
            return Err(Error::new(ErrorKind::Refused, message).hint("netkeel status shows it"));
        }
        // What a service left that was killed.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error, &path)),
            _ => {}
        }
        // The directory keeps others out until the mode is right.
        let listener = UnixListener::bind(&path).map_err(|error| failed(&error, &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(|error| failed(&error, &path))?;
        Ok(listener)
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
        UnixStream::connect(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Error::new(ErrorKind::Missing, "the netkeel service is not running")
                    .hint("start it with `systemctl start netkeel`")
            }
            _ => failed(&error, &path),
        })
    }
}
