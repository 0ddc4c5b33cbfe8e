//! Waits on a terminal until the changes of `apply --confirm-within` are kept or rolled back.

use std::io;
use std::io::BufRead;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::arguments::LockOptions;
use crate::change::{confirm, recover};
use crate::{exit, output};
use netkeel_apply::recover::{Cause, confirm_command, undo_held};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::settled::Gate;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;

/// How often the remaining time is shown, in milliseconds.
const TICK: u16 = 1000;

/// How long to wait for the lock: the watchdog may hold it for a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// The remaining time of an apply; `None` once it no longer waits for a confirmation.
///
/// # Errors
/// When the state cannot be read.
pub(crate) fn left(netns: &Netns, transaction: &str) -> Result<Option<Duration>, Error> {
    let pending = Store::open_to_read(netns)?.pending()?;
    Ok(pending
        .filter(|pending| pending.transaction() == Some(transaction))
        .and_then(|pending| pending.time_left()))
}

/// Shows the remaining time. Enter keeps the changes; Ctrl-C rolls them back, and so does the end of the time.
///
/// # Errors
/// When the state cannot be read, or keeping or rolling back fails. The watchdog then rolls back in time.
pub(crate) fn wait(netns: &Netns, transaction: &str, lock: LockOptions) -> Result<u8, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&interrupted)).map_err(|error| {
            Error::new(
                ErrorKind::Refused,
                format!("cannot install signal handlers: {error}"),
            )
        })?;
    }
    let lock = LockOptions {
        timeout: lock.timeout.max(PATIENCE),
    };
    while let Some(left) = left(netns, transaction)? {
        output::say(&format!(
            "\r\u{1b}[KKeep the changes? Enter keeps them, Ctrl-C rolls them back now; {} s left ",
            left.as_secs()
        ));
        let entered = entered();
        if interrupted.load(Ordering::Relaxed) {
            output::say("\n");
            return roll_back(netns, transaction, lock);
        }
        match entered? {
            Entered::Nothing => {}
            Entered::Line => return confirm::keep_changes(netns, Some(transaction), lock),
            Entered::End => {
                output::say(&format!(
                    "\nkeep the changes with `{}`; otherwise they are rolled back\n",
                    confirm_command(netns)
                ));
                return Ok(exit::OK);
            }
        }
    }
    output::say("\n");
    // Somebody confirmed it elsewhere, or its time is over.
    confirm::ended(&Store::open(netns)?, transaction)
}

/// Rolls back an apply that waits for its confirmation, and returns the exit code. One that has ended meanwhile is
/// only reported.
fn roll_back(netns: &Netns, transaction: &str, lock: LockOptions) -> Result<u8, Error> {
    let store = Store::open(netns)?;
    if let Gate::Held(held) = store.lock(&actor(), lock.timeout)?.look()?
        && held.pending().transaction() == Some(transaction)
    {
        let code = recover::report(&undo_held(&held, netns, Cause::of(held.pending()))?)?;
        return Ok(if code == exit::OK { exit::ROLLED_BACK } else { code });
    }
    confirm::ended(&store, transaction)
}

/// The input within a tick.
enum Entered {
    Nothing,
    Line,
    /// The terminal is gone.
    End,
}

fn entered() -> Result<Entered, Error> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(TICK)) {
        Ok(0) | Err(Errno::EINTR) => Ok(Entered::Nothing),
        Ok(_) => {
            let mut line = String::new();
            match stdin.lock().read_line(&mut line) {
                Ok(0) | Err(_) => Ok(Entered::End),
                Ok(_) => Ok(Entered::Line),
            }
        }
        Err(error) => Err(Error::new(
            ErrorKind::Refused,
            format!("cannot wait for the terminal: {error}"),
        )),
    }
}
