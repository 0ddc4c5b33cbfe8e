//! Arms a watchdog: under systemd a transient service, which no end of a session reaches; elsewhere a
//! process in a session of its own.

use std::env;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::journal::Header;
use crate::store::Store;
use crate::watchdog::copies::Copies;
use crate::watchdog::handover::Handover;
use netkeel_core::error::{Error, ErrorKind};

/// systemd runs here (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// The line that a watchdog prints when the end of the session no longer ends it.
pub const ARMED: &str = "armed\n";

/// How long a watchdog may take until it is armed. The apply waits for it with the lock.
const ARMING: Duration = Duration::from_secs(10);

/// Arms the watchdog of an apply that begins, and makes the copies of its journals.
///
/// # Errors
/// When no watchdog can be had. Nothing may be written then.
pub(crate) fn begin(header: &Header, directory: &File, journal: &File) -> Result<Copies, Error> {
    let copies = Copies::new(&header.transaction)?;
    let handover = Handover::new(directory, journal, &copies)?;
    arm(header, &handover)?;
    Ok(copies)
}

/// Arms another watchdog where the one of an apply was killed. The caller holds the lock.
///
/// # Errors
/// When no watchdog can be had.
pub(crate) fn replace(store: &Store, header: &Header) -> Result<(), Error> {
    match store.has_watchdog(&header.transaction)? {
        true => Ok(()),
        false => arm(header, &Handover::of_place()?),
    }
}

/// Waits until the watchdog of an apply that is over has seen that and has ended.
pub fn wait_for_end(store: &Store, transaction: &str) {
    /// It looks once a second where nobody wakes it.
    const PATIENCE: Duration = Duration::from_secs(3);
    let start = Instant::now();
    while start.elapsed() < PATIENCE && store.has_watchdog(transaction).unwrap_or(false) {
        sleep(Duration::from_millis(5));
    }
}

fn arm(header: &Header, handover: &Handover) -> Result<(), Error> {
    let program = env::current_exe().map_err(|error| {
        Error::new(
            ErrorKind::Refused,
            format!("netkeel cannot find its own program: {error}"),
        )
    })?;
    let mut watch = vec![
        "recover".to_owned(),
        format!("--unconfirmed={}", header.transaction),
        format!("--until={}", header.confirm_by.unwrap_or_default()),
        format!("--handover={handover}"),
    ];
    if let Some(netns) = header.netns.name() {
        watch.push(format!("--netns={netns}"));
    }
    if Path::new(SYSTEMD).exists() && by_service(&program, &watch, header) {
        return Ok(());
    }
    if std::process::id() == 1 {
        let message = "the watchdog that would undo the apply cannot outlive this process: it is the first of its container";
        return Err(Error::new(ErrorKind::Refused, message)
            .hint("run netkeel on the host, or in a container that keeps running, with `exec`"));
    }
    by_process(&program, &watch, ARMING).map_err(|error| {
        Error::new(
            ErrorKind::Refused,
            format!("the watchdog that would undo the apply cannot be started: {error}"),
        )
    })
}

/// Waits until the process has left the session: before that a hangup would end it too.
fn by_process(program: &Path, watch: &[String], longest: Duration) -> std::io::Result<()> {
    let mut watchdog = Command::new(program)
        .args(watch)
        .current_dir("/")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let said = match &mut watchdog.stdout {
        Some(output) => read_within(output, ARMED.len(), longest),
        None => Ok(Vec::new()),
    };
    let error = match said {
        Ok(said) if said == ARMED.as_bytes() => return Ok(()),
        Ok(_) => std::io::Error::other("it does not say that it is armed"),
        Err(error) => error,
    };
    // It must not undo an apply that was not begun, or that another watchdog has.
    let _ = watchdog.kill();
    let _ = watchdog.wait();
    Err(error)
}

/// Reads so many bytes, or fewer where the other end closes the pipe before.
///
/// # Errors
/// When they do not come in time.
fn read_within(pipe: &mut ChildStdout, length: usize, longest: Duration) -> std::io::Result<Vec<u8>> {
    let start = Instant::now();
    let mut said = vec![0; length];
    let mut read = 0;
    while let Some(rest) = said.get_mut(read..).filter(|rest| !rest.is_empty()) {
        let left = longest.saturating_sub(start.elapsed());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let ready = match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        if ready == 0 {
            let message = format!("it is not armed after {} s", longest.as_secs());
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, message));
        }
        match pipe.read(rest)? {
            0 => break,
            more => read += more,
        }
    }
    said.truncate(read);
    Ok(said)
}

/// systemd-run returns when the watchdog has said that it is ready, in the namespaces of the apply. A
/// watchdog that is killed is started again.
fn by_service(program: &Path, watch: &[String], header: &Header) -> bool {
    let started = Command::new("systemd-run")
        .args(["--quiet", "--collect", "--no-ask-password"])
        .arg(format!("--unit=netkeel-undo-{}", header.transaction))
        .arg("--description=netkeel: undo an apply that nobody confirmed")
        .args(["--property=Type=notify", "--property=Restart=on-abnormal"])
        // Five starts in ten seconds are the most that systemd allows by default.
        .arg("--property=RestartSec=2s")
        // For the namespaces and the journals, which the one that is started again needs.
        .arg("--property=FileDescriptorStoreMax=16")
        // systemd-run waits as long as this under the lock.
        .arg("--property=TimeoutStartSec=10s")
        .arg("--")
        .arg(program)
        .args(watch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    started.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_that_does_not_say_that_it_is_armed_is_not_waited_for() {
        let start = Instant::now();
        let within = |milliseconds, script: &str| {
            let watch = ["-c".to_owned(), script.to_owned()];
            by_process(Path::new("/bin/sh"), &watch, Duration::from_millis(milliseconds))
        };
        for silent in ["exec sleep 600", "printf arm; exec sleep 600"] {
            let why = within(300, silent).unwrap_err().to_string();
            assert_eq!(why, "it is not armed after 0 s");
        }
        // None of these waits for the end of its time.
        let by = |script: &str| within(60_000, script);
        let why = |script: &str| by(script).unwrap_err().to_string();
        assert_eq!(
            why("echo wrong; exec sleep 600"),
            "it does not say that it is armed"
        );
        assert_eq!(why("exit 1"), "it does not say that it is armed");
        by("printf ar; sleep 0.05; echo med").unwrap();
        assert!(start.elapsed() < Duration::from_secs(300));
    }
}
