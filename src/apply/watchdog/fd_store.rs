//! Descriptors that systemd keeps for the watchdog that it starts after one was killed: of the namespaces and of
//! the journals (FDSTORE, sd_pid_notify_with_fds(3)). The apply has ended by then, and a namespace that nobody
//! holds has ended with it.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};

use crate::watchdog::handover::Received;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::namespace::home::{Doors, Home};

/// The first descriptor that systemd passes (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;

const NET: &str = "net";
const MOUNT: &str = "mount";
const ROOT: &str = "root";
const DIRECTORY: &str = "directory";
const JOURNAL: &str = "journal";
const LIVE: &str = "live";
const FILES: &str = "files";

/// The descriptors that systemd gave back to this process, by name.
#[derive(Debug)]
pub(crate) struct Restored(Vec<(RawFd, String)>);

impl Restored {
    /// Those of this process; `None` if this is not a watchdog that was started again.
    pub(crate) fn here() -> Option<Self> {
        let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
        if number("LISTEN_PID")? != std::process::id() {
            return None;
        }
        let names = env::var("LISTEN_FDNAMES").ok()?;
        let count = usize::try_from(number("LISTEN_FDS")?).ok()?;
        let restored: Vec<_> = (FIRST..)
            .zip(names.split(':').map(str::to_owned))
            .take(count)
            .collect();
        (!restored.is_empty()).then_some(Restored(restored))
    }

    fn open(&self, name: &str) -> Result<File, Error> {
        let missing = || {
            let message = format!("systemd did not keep the descriptor `{name}` of the watchdog");
            Error::new(ErrorKind::Missing, message)
        };
        let (number, _) = self
            .0
            .iter()
            .find(|(_, found)| found == name)
            .ok_or_else(missing)?;
        // A description of its own: one that is shared would share its locks.
        reopened(*number).map_err(|error| missing().hint(format!("descriptor {number}: {error}")))
    }

    /// Goes to where the apply was. This process has one thread only.
    ///
    /// # Errors
    /// When a descriptor is missing or the kernel refuses it.
    pub(crate) fn enter(&self, home: &Home) -> Result<(), Error> {
        if Home::here()? == *home {
            return Ok(());
        }
        home.enter_by(&Doors {
            net: self.open(NET)?,
            mount: self.open(MOUNT)?,
            root: self.open(ROOT)?,
        })
    }

    /// The open files of the apply; none for a watchdog that had replaced another one and did not have them.
    pub(crate) fn received(&self) -> Option<Received> {
        Some(Received {
            process: None,
            directory: self.open(DIRECTORY).ok()?,
            journal: self.open(JOURNAL).ok()?,
            live: self.open(LIVE).ok()?,
            files: self.open(FILES).ok()?,
        })
    }
}

/// Hands to systemd what the next watchdog needs. Without it that one can still work where systemd starts it.
pub(crate) fn keep(socket: &UnixDatagram, received: Option<&Received>) {
    let Ok(doors) = Doors::here() else { return };
    let places = [(NET, &doors.net), (MOUNT, &doors.mount), (ROOT, &doors.root)];
    let files = received.into_iter().flat_map(|received| {
        [
            (DIRECTORY, &received.directory),
            (JOURNAL, &received.journal),
            (LIVE, &received.live),
            (FILES, &received.files),
        ]
    });
    for (name, file) in places.into_iter().chain(files) {
        // A description of its own: systemd would otherwise hold the lock that a killed watchdog has taken.
        let number = file.as_fd().as_raw_fd();
        let Ok(own) = reopened(number) else { continue };
        let text = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}");
        let descriptors = [own.as_raw_fd()];
        let _ = sendmsg(
            socket.as_raw_fd(),
            &[IoSlice::new(text.as_bytes())],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::empty(),
            None::<&UnixAddr>,
        );
    }
}

/// Opens the file of a descriptor again, for reading.
fn reopened(number: RawFd) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .open(format!("/proc/self/fd/{number}"))
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Write};

    use netkeel_kernel::files::read;
    use nix::cmsg_space;
    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    /// The next descriptor that was sent, with its name.
    fn next(socket: &UnixDatagram) -> (String, RawFd) {
        let mut bytes = [0; 64];
        let mut space = cmsg_space!(RawFd);
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &mut buffers,
            Some(&mut space),
            MsgFlags::MSG_DONTWAIT,
        )
        .unwrap();
        let sent = received.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
            _ => None,
        });
        let length = received.bytes;
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        let (_, name) = text.rsplit_once("FDNAME=").unwrap();
        (name.to_owned(), sent.unwrap())
    }

    /// A lock belongs to a file description, as the position does: one that systemd shared would stay locked
    /// when the watchdog that took the lock is killed.
    #[test]
    fn systemd_gets_descriptions_of_its_own() {
        let scratch = tempfile::tempdir().unwrap();
        let file = || {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"12345").unwrap();
            file
        };
        let received = Received {
            process: None,
            directory: read::directory(scratch.path()).unwrap(),
            journal: file(),
            live: file(),
            files: file(),
        };
        let (ours, of_systemd) = UnixDatagram::pair().unwrap();
        keep(&ours, Some(&received));
        let mut names = Vec::new();
        for _ in 0..7 {
            let (name, descriptor) = next(&of_systemd);
            let info = read::system(format!("/proc/self/fdinfo/{descriptor}")).unwrap();
            assert!(info.starts_with("pos:\t0\n"), "{name}: {info}");
            names.push(name);
        }
        assert_eq!(names, [NET, MOUNT, ROOT, DIRECTORY, JOURNAL, LIVE, FILES]);
    }
}
