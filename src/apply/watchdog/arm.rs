//! Arms a watchdog: under systemd a transient service, which no end of a session reaches; elsewhere a
//! process in a session of its own.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::journal::Header;
use crate::store::Store;
use crate::watchdog::copies::Copies;
use crate::watchdog::handover::Handover;
use netkeel_core::error::{Error, ErrorKind};

/// systemd runs here (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// The line that a watchdog prints when the end of the session no longer ends it.
pub const ARMED: &str = "armed\n";

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
    by_process(&program, &watch).map_err(|error| {
        Error::new(
            ErrorKind::Refused,
            format!("the watchdog that would undo the apply cannot be started: {error}"),
        )
    })
}

/// Waits until the process has left the session: before that a hangup would end it too.
fn by_process(program: &Path, watch: &[String]) -> std::io::Result<()> {
    let mut watchdog = Command::new(program)
        .args(watch)
        .current_dir("/")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut said = [0; ARMED.len()];
    if let Some(output) = &mut watchdog.stdout {
        output.read_exact(&mut said)?;
    }
    if said == ARMED.as_bytes() {
        Ok(())
    } else {
        Err(std::io::Error::other("it does not say that it is armed"))
    }
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
