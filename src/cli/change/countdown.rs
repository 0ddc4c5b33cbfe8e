//! Waits on a terminal until the changes of `apply --confirm-within` are kept or rolled back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use signal_hook::flag;

use crate::arguments::LockOptions;
use crate::change::prompt::typed;
use crate::change::prompt::typed::Typed;
use crate::change::service_holder::PauseOption;
use crate::change::{confirm, recover};
use crate::{exit, output};
use netkeel_apply::recover::{Cause, confirm_command, undo_held};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::settled::Gate;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::process::signals::ENDING;

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

/// Shows the remaining time. Enter and yes keep the changes. Ctrl-C and no roll them back, and so does the end of the
/// time. What was typed before the question is no answer to it.
///
/// # Errors
/// When the state cannot be read, or keeping or rolling back fails. The watchdog then rolls back in time.
pub(crate) fn wait(netns: &Netns, transaction: &str, lock: LockOptions) -> Result<u8, Error> {
    let (declined, ended) = (Arc::default(), Arc::default());
    // The terminal may be gone for a while because of the changes: they can be confirmed on another one.
    for signal in ENDING.into_iter().filter(|signal| *signal != Signal::SIGHUP) {
        // Only those of the keyboard are an answer.
        let flag: &Arc<AtomicBool> = match signal {
            Signal::SIGINT | Signal::SIGQUIT => &declined,
            _ => &ended,
        };
        flag::register(signal as i32, Arc::clone(flag)).map_err(|error| {
            Error::new(
                ErrorKind::Refused,
                format!("cannot install signal handlers: {error}"),
            )
        })?;
    }
    let lock = LockOptions {
        timeout: lock.timeout.max(PATIENCE),
    };
    let mut line = Vec::new();
    let answers = typed::forget()?;
    while let Some(left) = left(netns, transaction)? {
        output::say(&format!(
            "\r\u{1b}[KKeep the changes? Enter keeps them, Ctrl-C rolls them back now; {} s left ",
            left.as_secs()
        ));
        let typed = match answers {
            true => typed::typed(&mut line, TICK),
            false => Ok(Typed::End),
        };
        let asked = [(&declined, Cause::Declined), (&ended, Cause::Withdrawn)];
        let asked = asked.into_iter().find(|(flag, _)| flag.load(Ordering::Relaxed));
        if let Some((_, cause)) = asked {
            output::say("\n");
            return roll_back(netns, transaction, lock, cause);
        }
        let typed = match typed? {
            Typed::Nothing => continue,
            Typed::Line(line) => Some(Answer::of(&line)),
            Typed::End => None,
        };
        match typed {
            Some(Answer::Keep) => {
                return confirm::keep_changes(netns, Some(transaction), lock, &PauseOption::of(None));
            }
            Some(Answer::RollBack) => return roll_back(netns, transaction, lock, Cause::Declined),
            Some(Answer::Unclear) => {
                output::say(
                    "please answer with Enter or `y` to keep the changes, or with `n` to roll them back\n",
                );
            }
            None => {
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
fn roll_back(netns: &Netns, transaction: &str, lock: LockOptions, cause: Cause) -> Result<u8, Error> {
    let store = Store::open(netns)?;
    if let Gate::Held(held) = store.lock(&actor(), lock.timeout)?.look()?
        && held.pending().transaction() == Some(transaction)
    {
        let undone = undo_held(&held, netns, cause)?;
        drop(held);
        return recover::report_rolled_back(&undone);
    }
    confirm::ended(&store, transaction)
}

/// The answer to whether the changes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Keep,
    RollBack,
    Unclear,
}

impl Answer {
    fn of(line: &[u8]) -> Self {
        match line.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"y" | b"yes" => Answer::Keep,
            [b'n', ..] => Answer::RollBack,
            _ => Answer::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_enter_and_yes_keep_the_changes() {
        for keep in ["", "y", "Yes\r", "  "] {
            assert_eq!(Answer::of(keep.as_bytes()), Answer::Keep, "{keep:?}");
        }
        for back in ["n", "no", "NO!", " nope"] {
            assert_eq!(Answer::of(back.as_bytes()), Answer::RollBack, "{back:?}");
        }
        for other in ["yy", "ye", "q", "ls", "\u{1b}[A", "y\nn"] {
            assert_eq!(Answer::of(other.as_bytes()), Answer::Unclear, "{other:?}");
        }
    }
}
