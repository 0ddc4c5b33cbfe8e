//! What is measured: the service, or the bare listener, as a process in the namespace.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{fmt, fs};

use crate::BARE;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::namespace::enter::inside;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bare,
    Netkeel,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Bare => "bare listener",
            Kind::Netkeel => "netkeel run",
        })
    }
}

/// A process; it ends with this.
pub struct Subject(Child);

impl Subject {
    /// Starts it, and waits until it listens.
    pub fn start(
        kind: Kind,
        netkeel: &Path,
        netns: &Netns,
        name: &str,
        document: &Path,
    ) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::new(ErrorKind::Refused, format!("{kind}: {error}"));
        let mut command = match kind {
            Kind::Netkeel => {
                let mut command = Command::new(netkeel);
                command.args(["run", "--netns", name, "-f"]).arg(document);
                command
            }
            Kind::Bare => {
                let mut command = Command::new(std::env::current_exe().map_err(failed)?);
                command.arg(BARE);
                command
            }
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut spawn = || command.spawn().map_err(failed);
        let child = match kind {
            Kind::Netkeel => spawn()?,
            Kind::Bare => inside(netns, &mut spawn)??,
        };
        sleep(Duration::from_millis(500));
        Ok(Subject(child))
    }

    /// The CPU time of all its threads so far, to the nanosecond.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id()))
            .into_iter()
            .flatten()
            .flatten();
        let nanos = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &id]).status();
        sleep(Duration::from_millis(100));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
