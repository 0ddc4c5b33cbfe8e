//! What systemd is told: that the service is ready, what it does, that it is alive
//! (sd_notify(3)).

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Tells systemd, where there is one that wants to be told.
#[derive(Debug)]
pub(crate) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Finds out who wants to be told, by the variables NOTIFY_SOCKET and WATCHDOG_USEC.
    pub fn new() -> Self {
        let path = env::var_os("NOTIFY_SOCKET");
        let address = path.and_then(|path| match path.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(path).ok(),
        });
        let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
        let mine = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        Notify {
            to: address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address))),
            watchdog: number("WATCHDOG_USEC")
                .filter(|_| mine)
                .map(Duration::from_micros),
        }
    }

    /// How often [`Notify::tell`] must say `WATCHDOG=1`: twice in the time that systemd waits.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Tells it. Nobody listening is no error.
    pub fn tell(&self, what: &str) {
        if let Some((socket, address)) = &self.to {
            let _ = socket.send_to_addr(what.as_bytes(), address);
        }
    }

    /// That the service reads its document anew: systemd wants to know when that began.
    pub(crate) fn reloading(&self) {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
        let micros = now.unwrap_or_default().as_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }
}
