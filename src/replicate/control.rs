//! The connection between the service and its worker: one message per line over a non-blocking socket.

use std::io;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{decode, encode};
use netkeel_core::error::{Error, ErrorKind};

/// Longest accepted line in bytes; a hundred thousand peers fit.
const LONGEST: usize = 8 << 20;

/// One end of the connection.
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
}

/// The result of one read.
#[derive(Debug)]
pub struct Received<T> {
    /// The messages, in order.
    pub messages: Vec<T>,
    /// Whether the other side has closed the connection.
    pub ended: bool,
}

impl Control {
    /// Wraps a connected socket.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Control {
            stream,
            received: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Reads the available messages.
    ///
    /// # Errors
    /// When a line cannot be parsed: the other side is of another version, or not netkeel.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<Received<T>, Error> {
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

    /// Queues a message and sends as much as the socket takes now.
    pub fn send(&mut self, message: &impl Serialize) {
        self.unsent.extend(encode(message).into_bytes());
        self.flush();
    }

    /// Whether data is waiting to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends as much as the socket takes now. The next read reports a closed connection.
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
        // More than a socket buffer holds.
        (0..1_000).for_each(|number| one.send(&failed(number)));
        assert!(one.has_unsent());
        let mut got = Vec::new();
        while got.len() < 1_000 {
            got.extend(other.receive::<FromWorker>().unwrap().messages);
            one.flush();
        }
        assert_eq!(got, (0..1_000).map(failed).collect::<Vec<_>>());
        // A child that another test forks may hold a copy of the descriptor: dropping it would not end the connection.
        one.stream.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(other.receive::<FromWorker>().unwrap().ended);
    }
}
