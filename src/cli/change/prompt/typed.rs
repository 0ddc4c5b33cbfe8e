//! Reads a terminal line by line without waiting for the end of a line.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use netkeel_core::error::{Error, ErrorKind};

/// The input within a time.
pub(crate) enum Typed {
    Nothing,
    /// A line, without its end.
    Line(Vec<u8>),
    /// The terminal is gone.
    End,
}

/// Takes away whole lines that were typed before a question: they answer something that nobody has seen. Returns whether
/// somebody can still answer.
///
/// # Errors
/// When the terminal cannot be waited for.
pub(crate) fn forget() -> Result<bool, Error> {
    loop {
        let mut line = Vec::new();
        match typed(&mut line, 0)? {
            Typed::Line(_) => {}
            Typed::Nothing if !line.is_empty() => {}
            Typed::Nothing => return Ok(true),
            Typed::End => return Ok(false),
        }
    }
}

/// Reads what is typed within so many milliseconds, after the part of a line that came before. It does not wait for the
/// end of a line, so that the time goes on and Ctrl-C has an effect.
///
/// # Errors
/// When the terminal cannot be waited for.
pub(crate) fn typed(line: &mut Vec<u8>, milliseconds: u16) -> Result<Typed, Error> {
    let failed = |errno: Errno| {
        Error::new(
            ErrorKind::Refused,
            format!("cannot wait for the terminal: {errno}"),
        )
    };
    let stdin = io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(milliseconds)) {
        Ok(0) | Err(Errno::EINTR) => return Ok(Typed::Nothing),
        Ok(_) => {}
        Err(errno) => return Err(failed(errno)),
    }
    // Not by the buffer of the standard library, which may hold what was typed before.
    let mut bytes = [0; 256];
    let length = match read(stdin.as_fd(), &mut bytes) {
        Err(Errno::EINTR) => return Ok(Typed::Nothing),
        Ok(0) | Err(_) => return Ok(Typed::End),
        Ok(length) => length,
    };
    let bytes = bytes.get(..length).unwrap_or_default();
    match bytes.split_last() {
        Some((b'\n', end)) => {
            line.extend_from_slice(end);
            Ok(Typed::Line(std::mem::take(line)))
        }
        _ => {
            line.extend_from_slice(bytes);
            Ok(Typed::Nothing)
        }
    }
}
