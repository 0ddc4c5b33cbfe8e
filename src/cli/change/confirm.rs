//! `netkeel confirm`: keeps the changes of a pending `apply --confirm-within`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use crate::arguments::{LockOptions, Place};
use crate::change::recover;
use crate::{exit, output};
use netkeel_apply::journal::Journal;
use netkeel_apply::recover::{Cause, keep, undo_held, watched};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::history::{HistoryEntry, HistoryEvent};
use netkeel_apply::store::settled::Gate;
use netkeel_apply::watchdog::arm::wait_for_end;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_render::wording::count;

/// Keep the changes of a pending `apply --confirm-within`
///
/// Exit status: 0 kept; 1 nothing waits for confirmation; 3 the changes were already rolled back.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    keep_changes(&arguments.place.netns(), None, arguments.lock)
}

/// Keeps the changes of the apply that waits, and returns the exit code. With the name of an apply it keeps no other
/// one, and reports that one where it has ended.
pub(crate) fn keep_changes(netns: &Netns, only: Option<&str>, lock: LockOptions) -> Result<u8, Error> {
    let store = Store::open(netns)?;
    let gate = store.lock(&actor(), lock.timeout)?.look()?;
    let held = match (gate, only) {
        (Gate::Held(held), None) => held,
        (Gate::Held(held), Some(name)) if held.pending().transaction() == Some(name) => held,
        (gate, Some(name)) => {
            drop(gate);
            return ended(&store, name);
        }
        (Gate::Settled(_), None) => return missing(&store),
    };
    let pending = held.pending();
    let Some(journal) = pending
        .live
        .as_ref()
        .filter(|journal| journal.header.confirm_by.is_some())
    else {
        let what = held.journal().map(Journal::describe).unwrap_or_default();
        return Err(Error::new(ErrorKind::Refused, what)
            .hint("only an apply with --confirm-within waits for confirmation; run `netkeel recover`"));
    };
    if !journal.complete || journal.undoing {
        return Err(Error::new(ErrorKind::Refused, journal.describe())
            .hint("an incomplete apply cannot be kept: roll it back with `netkeel recover`"));
    }
    if pending.time_left().is_none() {
        output::say("too late: the time to confirm is over\n");
        recover::report(&undo_held(&held, netns, Cause::of(pending))?)?;
        return Ok(exit::ROLLED_BACK);
    }
    let transaction = journal.header.transaction.clone();
    let (files, unnoted) = match keep(&held, netns) {
        Ok(kept) => kept,
        Err(error) => {
            watched(&held);
            return Err(error.hint("the changes are not kept: they are rolled back when their time is over"));
        }
    };
    drop(held);
    for error in unnoted {
        output::say(&format!("warning: {}\n", error.message));
    }
    wait_for_end(&store, &transaction);
    let files = match files {
        0 => String::new(),
        files => format!(", {} written", count(files, "file")),
    };
    output::print(&format!("Confirmed: the changes stay{files}.\n"))?;
    Ok(exit::OK)
}

/// Reports the end of an apply that nobody confirmed here, and returns the exit code.
pub(crate) fn ended(store: &Store, transaction: &str) -> Result<u8, Error> {
    /// The watchdog rolls back within a second of the deadline, and then takes as long as the writes took.
    const PATIENCE: Duration = Duration::from_secs(60);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let pending = store.pending()?;
        if pending.is_none_or(|pending| pending.transaction() != Some(transaction)) {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    wait_for_end(store, transaction);
    let history = store.history()?;
    let of_it = |entry: &&HistoryEntry| entry.apply == transaction;
    match history.iter().rev().find(of_it).map(|entry| entry.event) {
        Some(HistoryEvent::Confirmed) => {
            output::say("confirmed: the changes stay\n");
            Ok(exit::OK)
        }
        Some(HistoryEvent::RolledBack) => {
            output::say("the time to confirm is over: the changes were rolled back\n");
            Ok(exit::ROLLED_BACK)
        }
        _ => Err(Error::new(
            ErrorKind::Refused,
            "the time to confirm is over, and the rollback has not ended",
        )
        .hint("`netkeel history` shows its result; `netkeel recover` rolls back what is left")),
    }
}

/// Nothing waits: it may have been rolled back already.
fn missing(store: &Store) -> Result<u8, Error> {
    let last = store.history()?.pop();
    if last.is_some_and(|done| done.event == HistoryEvent::RolledBack) {
        output::say("too late: the changes were already rolled back\n");
        return Ok(exit::ROLLED_BACK);
    }
    Err(Error::new(ErrorKind::Missing, "nothing waits for confirmation"))
}
