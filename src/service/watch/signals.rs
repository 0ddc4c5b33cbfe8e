//! Signals as bytes in a pipe that can be waited for.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use netkeel_core::error::{Error, ErrorKind};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Read the document anew.
    Reload,
    /// End.
    Stop,
}

/// The signals that were sent.
#[derive(Debug)]
pub(crate) struct Signals {
    pipes: [(UnixStream, Asked); 3],
}

impl Signals {
    /// Hears them from now on.
    ///
    /// # Errors
    /// When they cannot be heard.
    pub fn new() -> Result<Self, Error> {
        let refused = |error: std::io::Error| {
            Error::new(ErrorKind::Refused, format!("cannot listen to signals: {error}"))
        };
        let hear = |signal, asked| {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            pipe::register(signal, write)?;
            Ok((read, asked))
        };
        let hear = |signal, asked| hear(signal, asked).map_err(refused);
        Ok(Signals {
            pipes: [
                hear(SIGHUP, Asked::Reload)?,
                hear(SIGTERM, Asked::Stop)?,
                hear(SIGINT, Asked::Stop)?,
            ],
        })
    }

    /// What to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|(read, _)| read.as_fd())
    }

    /// What was asked for since; stopping outweighs the rest.
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
