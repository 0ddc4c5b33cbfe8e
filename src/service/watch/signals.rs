//! Delivers signals through pipes that poll(2) can wait for.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use netkeel_core::error::{Error, ErrorKind};

/// The request that a signal makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Reload the document.
    Reload,
    /// Stop the service.
    Stop,
}

/// The signal pipes.
#[derive(Debug)]
pub(crate) struct Signals {
    pipes: [(UnixStream, Asked); 3],
}

impl Signals {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub fn new() -> Result<Self, Error> {
        let refused = |error: std::io::Error| {
            Error::new(
                ErrorKind::Refused,
                format!("cannot install signal handlers: {error}"),
            )
        };
        let pipe_of = |signal, asked| {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            pipe::register(signal, write)?;
            Ok((read, asked))
        };
        let pipe_of = |signal, asked| pipe_of(signal, asked).map_err(refused);
        Ok(Signals {
            pipes: [
                pipe_of(SIGHUP, Asked::Reload)?,
                pipe_of(SIGTERM, Asked::Stop)?,
                pipe_of(SIGINT, Asked::Stop)?,
            ],
        })
    }

    /// The file descriptors to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|(read, _)| read.as_fd())
    }

    /// The pending request, if any; stop has priority.
    pub fn take(&mut self) -> Option<Asked> {
        let mut taken = None;
        for (read, asked) in &mut self.pipes {
            let mut bytes = [0; 64];
            while read.read(&mut bytes).is_ok_and(|length| length > 0) {
                taken = Some(*asked);
            }
        }
        taken
    }
}
