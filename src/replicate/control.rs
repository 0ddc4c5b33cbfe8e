//! The line to the other side: messages a line each over a socket, without ever waiting for it.

use std::io;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{decode, encode};
use netkeel_core::error::{Error, ErrorKind};

/// Longest line in bytes that is believed: a hundred thousand peers fit.
const LONGEST: usize = 8 << 20;

/// One end.
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
}

/// What there was to read.
#[derive(Debug)]
pub struct Received<T> {
    /// The messages, in order.
    pub messages: Vec<T>,
    /// The other side is gone.
    pub ended: bool,
}

impl Control {
    /// Takes a connected socket.
    ///
    /// # Errors
    /// When it cannot be made not to wait.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Control {
            stream,
            received: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// When it makes no sense: the other side is of another version, or no netkeel.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<Received<T>, Error> {
        let mut chunk = [0; 16 * 1024];
        let ended = loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break true,
                Ok(length) => {
                    self.received
                        .extend_from_slice(chunk.get(..length).unwrap_or_default());
                    if self.received.len() > LONGEST {
                        return Err(Error::new(ErrorKind::Unreadable, "a message does not end"));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(_) => break true,
            }
        };
        let mut messages = Vec::new();
        if let Some(end) = self.received.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.received.split_off(end + 1);
            let lines = std::mem::replace(&mut self.received, rest);
            for line in String::from_utf8_lossy(&lines).lines() {
                messages.push(decode(line)?);
            }
        }
        Ok(Received { messages, ended })
    }

    /// Queues a message and sends what can be sent now.
    pub fn tell(&mut self, message: &impl Serialize) {
        self.unsent.extend(encode(message).into_bytes());
        self.flush();
    }

    /// Something waits to be sent.
    pub(crate) fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends what can be sent now. That the other side is gone shows when it is read from.
    pub fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.unsent.clear(),
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::FromWorker;

    #[test]
    fn messages_arrive_whole_and_in_order_whatever_fits() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Control::new(one).unwrap(), Control::new(other).unwrap());
        let failed = |number: usize| FromWorker::Failed {
            message: "x".repeat(number),
            hints: Vec::new(),
        };
        // More than a socket holds.
        (0..1_000).for_each(|number| one.tell(&failed(number)));
        assert!(one.is_behind());
        let mut got = Vec::new();
        while got.len() < 1_000 {
            got.extend(other.hear::<FromWorker>().unwrap().messages);
            one.flush();
        }
        assert_eq!(got, (0..1_000).map(failed).collect::<Vec<_>>());
        drop(one);
        assert!(other.hear::<FromWorker>().unwrap().ended);
    }
}
