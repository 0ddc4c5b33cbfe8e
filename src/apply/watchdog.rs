//! Undoes an apply that nobody confirms, also when the session and netkeel itself are dead by then.

use std::env;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::journal::Header;
use netkeel_core::error::{Error, ErrorKind};

/// systemd runs here (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// What a watchdog says on its standard output when nothing that ends the session ends it.
pub const ARMED: &str = "armed\n";

/// Arms the watchdog: a transient timer of systemd, which no end of a session reaches; elsewhere a
/// process of its own, in a session of its own.
///
/// # Errors
/// When neither can be had. Nothing may be written then.
pub(crate) fn arm(header: &Header, within: Duration) -> Result<(), Error> {
    let program = env::current_exe().map_err(|error| {
        Error::new(
            ErrorKind::Refused,
            format!("netkeel cannot find its own program: {error}"),
        )
    })?;
    let mut undo = vec![
        "recover".to_owned(),
        format!("--unconfirmed={}", header.transaction),
    ];
    if let Some(netns) = header.netns.name() {
        undo.push(format!("--netns={netns}"));
    }
    if Path::new(SYSTEMD).exists() && by_timer(&program, &undo, header, within) {
        return Ok(());
    }
    undo.push(format!("--after={}ms", within.as_millis()));
    by_process(&program, &undo).map_err(|error| {
        Error::new(
            ErrorKind::Refused,
            format!("the watchdog that would undo the apply cannot be started: {error}"),
        )
    })
}

/// Waits until the process has left the session: before that a hangup would end it too.
fn by_process(program: &Path, undo: &[String]) -> std::io::Result<()> {
    let mut watchdog = Command::new(program)
        .args(undo)
        .current_dir("/")
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

fn by_timer(program: &Path, undo: &[String], header: &Header, within: Duration) -> bool {
    let started = Command::new("systemd-run")
        .args([
            "--quiet",
            "--collect",
            "--no-ask-password",
            "--timer-property=AccuracySec=100ms",
        ])
        .arg(format!("--unit=netkeel-undo-{}", header.transaction))
        .arg(format!("--on-active={}ms", within.as_millis()))
        .arg("--description=netkeel: undo an apply that nobody confirmed")
        .arg("--")
        .arg(program)
        .args(undo)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    started.is_ok_and(|status| status.success())
}
