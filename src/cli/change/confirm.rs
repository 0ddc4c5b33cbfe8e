//! `netkeel confirm`: keeps the changes of a pending `apply --confirm-within`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use crate::arguments::{LockOptions, Place, parse_pause};
use crate::change::recover;
use crate::change::service_holder::{PauseOption, Way, clear_way};
use crate::change::watcher::interruptions;
use crate::{exit, output};
use netkeel_apply::journal::Journal;
use netkeel_apply::recover::{Cause, keep, undo_held, watch};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::history::{HistoryEntry, HistoryEvent};
use netkeel_apply::store::lock::Patience;
use netkeel_apply::store::pending::Pending;
use netkeel_apply::store::settled::{Gate, Held};
use netkeel_apply::watchdog::arm::wait_for_end;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_render::wording::count;

/// Keep the changes of a pending `apply --confirm-within`
///
/// Exit status: 0 kept; 1 error, or nothing waits for confirmation; 3 too late, the changes are rolled back; 4 too
/// late, and some writes could not be undone.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
    /// Pause a running service of this owner first, for this long, e.g. 1h
    ///
    /// A service that enforces another document of the owner would revert the changes, so that the
    /// confirmation is refused without a pause.
    #[arg(long, value_name = "DURATION", value_parser = parse_pause)]
    pause: Option<Duration>,
}

/// What becomes of changes that are not kept.
const NOT_KEPT: &str = "the changes are not kept: they are rolled back when their time is over";

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    keep_changes(
        &arguments.place.netns(),
        None,
        arguments.lock,
        &PauseOption::of(arguments.pause),
    )
}

/// Keeps the changes of the apply that waits, and returns the exit code. With the name of an apply it keeps no other
/// one, and reports that one where it has ended.
pub(crate) fn keep_changes(
    netns: &Netns,
    only: Option<&str>,
    lock: LockOptions,
    pause: &PauseOption,
) -> Result<u8, Error> {
    let store = Store::open(netns)?;
    let interrupted = interruptions()?;
    // Before the lock, which nobody may hold while a service is waited for.
    let (way, cleared) = way(&store, only, pause).map_err(|error| error.hint(NOT_KEPT))?;
    let patience = Patience::unless(&interrupted, lock.timeout);
    let cleared = cleared.as_deref().map(|name| (name, &way));
    match keep_pending(&store, netns, only, patience, cleared) {
        Ok(End::Kept(files)) => {
            way.tell();
            let files = match files {
                0 => String::new(),
                files => format!(", {} written", count(files, "file")),
            };
            output::print_done(&format!("Confirmed: the changes stay{files}.\n"));
            Ok(exit::OK)
        }
        Ok(End::Other(code)) => {
            way.close();
            Ok(code)
        }
        Err(error) => {
            way.close();
            Err(error)
        }
    }
}

/// Makes sure that a service does not revert at once what is kept; returns the name of the apply for which that holds.
fn way<'a>(
    store: &'a Store,
    only: Option<&str>,
    pause: &PauseOption,
) -> Result<(Way<'a>, Option<String>), Error> {
    let pending = store.pending()?;
    let pending = pending.filter(|pending| {
        pending.time_left().is_some() && only.is_none_or(|name| pending.transaction() == Some(name))
    });
    match pending.as_ref().and_then(Pending::header) {
        Some(header) => {
            let way = clear_way(store, &header.owner, Some(&header.document), pause)?;
            Ok((way, Some(header.transaction.clone())))
        }
        None => Ok((Way::is_clear(store), None)),
    }
}

/// The end of a confirmation.
enum End {
    /// The changes stay, and so many files were written.
    Kept(usize),
    /// They do not, or somebody else kept them: the exit code.
    Other(u8),
}

/// Keeps the apply that waits. `cleared` is the one that no service reverts, and its way.
fn keep_pending(
    store: &Store,
    netns: &Netns,
    only: Option<&str>,
    patience: Patience<'_>,
    cleared: Option<(&str, &Way<'_>)>,
) -> Result<End, Error> {
    let gate = store.lock(&actor(), patience)?.look()?;
    let held = match (gate, only) {
        (Gate::Held(held), None) => held,
        (Gate::Held(held), Some(name)) if held.pending().transaction() == Some(name) => held,
        (gate, Some(name)) => {
            drop(gate);
            return ended(store, name).map(End::Other);
        }
        (Gate::Settled(settled), None) => {
            drop(settled);
            return missing(store).map(End::Other);
        }
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
        let undone = undo_held(&held, netns, Cause::of(pending))?;
        drop(held);
        output::say("too late: the time to confirm is over\n");
        return recover::report_rolled_back(&undone).map(End::Other);
    }
    let header = &journal.header;
    let transaction = header.transaction.clone();
    let Some((_, way)) = cleared.filter(|(name, _)| *name == transaction) else {
        let message = "another apply began to wait for its confirmation just now";
        return Err(Error::new(ErrorKind::Refused, message).hint("run `netkeel confirm` again to keep it"));
    };
    let kept = way
        .is_still_clear(&header.owner, Some(&header.document))
        .and_then(|()| keep(&held, netns));
    let (files, unnoted) = kept.map_err(|error| not_kept(&held, error))?;
    drop(held);
    for error in unnoted {
        output::say(&format!("warning: {}\n", error.message));
    }
    wait_for_end(store, &transaction);
    Ok(End::Kept(files))
}

/// The error of changes that are not kept, with what becomes of them.
fn not_kept(held: &Held, error: Error) -> Error {
    match watch(held) {
        Ok(()) => error.hint(NOT_KEPT),
        Err(why) => error
            .hint(format!(
                "the changes are not kept, and nothing undoes them by itself now: {}",
                why.message
            ))
            .hint("netkeel recover undoes them"),
    }
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
    let last = history.iter().rev().find(of_it);
    match last.map(|entry| (entry.event, &entry.why)) {
        Some((HistoryEvent::Confirmed, _)) => {
            output::say("confirmed: the changes stay\n");
            Ok(exit::OK)
        }
        Some((HistoryEvent::RolledBack, why)) => {
            let why = why.as_deref().map(|why| format!(": {why}"));
            output::say(&format!(
                "the changes were rolled back{}\n",
                why.unwrap_or_default()
            ));
            Ok(exit::ROLLED_BACK)
        }
        _ => Err(Error::new(
            ErrorKind::Refused,
            "the changes are not kept, and their rollback has not ended",
        )
        .hint("`netkeel history` shows its result; `netkeel recover` rolls back what is left")),
    }
}

/// Nothing waits: the apply that waited last may have been rolled back in this boot.
fn missing(store: &Store) -> Result<u8, Error> {
    let history = store.history()?;
    let last = history
        .iter()
        .rposition(|entry| entry.event == HistoryEvent::Unconfirmed);
    let late = last.is_some_and(|last| {
        let apply = history[last].apply.as_str();
        let since = history.iter().skip(last + 1);
        let mut ends = since.filter(|entry| entry.apply == apply);
        ends.any(|entry| entry.event == HistoryEvent::RolledBack && entry.boot == store.boot)
    });
    if late {
        output::say("too late: the changes were already rolled back\n");
        return Ok(exit::ROLLED_BACK);
    }
    Err(Error::new(ErrorKind::Missing, "nothing waits for confirmation"))
}
