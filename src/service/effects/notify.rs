//! Notifies systemd of readiness, reloads, the status line and the watchdog (sd_notify(3)).

use std::env;
use std::fmt::Write;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use netkeel_replicate::handover::KeptGroup;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use sd_notify::NotifyState;

/// The notification socket of systemd, if there is one.
#[derive(Debug)]
pub(crate) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    /// A message of readiness was dropped. systemd waits for it, so the next message repeats it.
    owes_ready: bool,
}

impl Notify {
    /// Reads the environment variables NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
    pub(crate) fn new() -> Self {
        let path = env::var_os("NOTIFY_SOCKET");
        let address = path.and_then(|path| match path.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(path).ok(),
        });
        Self::to(address, sd_notify::watchdog_enabled())
    }

    fn to(address: Option<SocketAddr>, watchdog: Option<Duration>) -> Self {
        // A socket that blocks would stop the loop while the receiver does not read.
        let socket = || {
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some(socket)
        };
        Notify {
            to: address.and_then(|address| Some((socket()?, address))),
            watchdog,
            owes_ready: false,
        }
    }

    /// Interval of `WATCHDOG=1`: half of systemd's timeout.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Sends a message; returns whether it was sent. While the receiver's queue is full, the message is
    /// dropped.
    pub(crate) fn send(&mut self, states: &[NotifyState<'_>]) -> bool {
        let Some((socket, address)) = &self.to else {
            return true;
        };
        let is_ready = |state: &NotifyState<'_>| matches!(state, NotifyState::Ready);
        let says_ready = states.iter().any(is_ready);
        let mut message = String::new();
        if self.owes_ready && !says_ready {
            message.push_str("READY=1\n");
        }
        for state in states {
            // Writing to a String does not fail.
            let _ = writeln!(message, "{state}");
        }
        let sent = socket.send_to_addr(message.as_bytes(), address).is_ok();
        self.owes_ready = !sent && (self.owes_ready || says_ready);
        sent
    }

    /// Whether a service manager started this process.
    pub(crate) fn has_manager(&self) -> bool {
        self.to.is_some()
    }

    /// Hands the socket of a group to systemd for the next start of the service; returns whether it was sent. systemd
    /// must not drop it for an error of the socket, as where its queue was full once (FDPOLL).
    pub(crate) fn keep(&self, group: &KeptGroup) -> bool {
        let Some((socket, address)) = &self.to else {
            return false;
        };
        let address = match (address.as_pathname(), address.as_abstract_name()) {
            (Some(path), _) => UnixAddr::new(path),
            (None, Some(name)) => UnixAddr::new_abstract(name),
            (None, None) => return false,
        };
        let text = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={}", group.name());
        let descriptors = [group.as_fd().as_raw_fd()];
        let sent = address.and_then(|address| {
            sendmsg(
                socket.as_raw_fd(),
                &[IoSlice::new(text.as_bytes())],
                &[ControlMessage::ScmRights(&descriptors)],
                MsgFlags::MSG_NOSIGNAL,
                Some(&address),
            )
        });
        sent.is_ok()
    }

    /// Makes systemd close its copy of the socket.
    pub(crate) fn forget(&mut self, group: &KeptGroup) {
        let name = format!("FDNAME={}", group.name());
        self.send(&[NotifyState::Custom("FDSTOREREMOVE=1"), NotifyState::Custom(&name)]);
    }

    /// Reports the start of a reload, with the monotonic time that systemd requires.
    pub(crate) fn reloading(&mut self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.send(&[NotifyState::Reloading, now]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_message_and_does_not_block() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("notify");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut notify = Notify::to(SocketAddr::from_pathname(&path).ok(), None);
        // `net.unix.max_dgram_qlen` is 10 by default, and at most a few thousand.
        let sent = (0..100_000)
            .take_while(|_| notify.send(&[NotifyState::Watchdog]))
            .count();
        assert!((1..100_000).contains(&sent), "{sent}");
        assert!(!notify.send(&[NotifyState::Ready]));
        let mut bytes = [0; 64];
        let length = receiver.recv(&mut bytes).unwrap();
        assert_eq!(bytes.get(..length), Some(&b"WATCHDOG=1\n"[..]));
        // systemd waits for the readiness that was dropped.
        assert!(notify.send(&[NotifyState::Watchdog]));
        receiver.set_nonblocking(true).unwrap();
        let mut last = String::new();
        while let Ok(length) = receiver.recv(&mut bytes) {
            last = String::from_utf8_lossy(bytes.get(..length).unwrap()).into_owned();
        }
        assert_eq!(last, "READY=1\nWATCHDOG=1\n");
    }
}
