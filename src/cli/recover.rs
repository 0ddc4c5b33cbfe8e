//! `netkeel recover`: undoes or finishes an apply that was interrupted.

use std::time::{Duration, Instant};

use clap::Args;

use super::arguments::{LockOptions, Place, parse_duration};
use super::{exit, output};
use crate::apply::undo;
use crate::error::{Error, ErrorKind};
use crate::journal::{Entry, Journal};
use crate::kernel::{Kernel, Live};
use crate::netns::Netns;
use crate::op::Op;
use crate::render::count;
use crate::store::{ARMED, Pending, Store, actor, now};

/// How long the watchdog waits for whoever holds the lock: it is the last that could undo.
const PATIENCE: Duration = Duration::MAX;

/// How long read-only verbs wait for an apply that is at work.
const APPLY_LIMIT: Duration = Duration::from_secs(30);

/// Why an apply was rolled back that crashed.
const INTERRUPTED: &str = "it was interrupted";

/// Undoes an apply that was interrupted by a crash; with --resume, finishes it.
///
/// `apply` undoes one by itself before it begins. After a reboot only files are left to undo:
/// the rest died with the kernel it was written to.
///
/// Exit status: 0; 1 when it could not be done; 4 when something could not be undone.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
    /// Do the writes that are left instead of undoing those that were done.
    #[arg(long)]
    resume: bool,
    /// Undo this apply when it is still not confirmed; what the watchdog runs.
    #[arg(long, value_name = "TRANSACTION", hide = true, conflicts_with = "resume")]
    unconfirmed: Option<String>,
    /// Wait this long before.
    #[arg(long, value_name = "DURATION", hide = true, value_parser = parse_duration, requires = "unconfirmed")]
    after: Option<Duration>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    if let Some(transaction) = &arguments.unconfirmed {
        return unconfirmed(&store, &netns, transaction, arguments.after);
    }
    let _lock = store.lock(&actor(), arguments.lock.timeout)?;
    let Some(pending) = store.pending()? else {
        output::print("Nothing to recover.\n")?;
        return Ok(exit::OK);
    };
    if arguments.resume {
        finish(&store, &netns, &pending)
    } else {
        undo_all(&store, &netns, &pending, INTERRUPTED)
    }
}

/// What the watchdog does when its time has come. Another apply may hold the lock meanwhile, but
/// none can begin over one that waits to be confirmed.
fn unconfirmed(
    store: &Store,
    netns: &Netns,
    transaction: &str,
    after: Option<Duration>,
) -> Result<u8, Error> {
    if let Some(after) = after {
        // In a session of its own neither Ctrl-C nor a hangup reaches it.
        nix::unistd::setsid().map_err(|errno| {
            Error::new(
                ErrorKind::Refused,
                format!("the watchdog cannot leave its session: {errno}"),
            )
        })?;
        output::print(ARMED)?;
        std::thread::sleep(after);
    }
    let _lock = store.lock(&actor(), PATIENCE)?;
    match store.pending()? {
        Some(pending) if pending.transaction() == Some(transaction) => expire(store, netns, &pending),
        _ => Ok(exit::OK),
    }
}

/// Undoes an apply that was not confirmed in time, and remembers its document.
pub fn expire(store: &Store, netns: &Netns, pending: &Pending) -> Result<u8, Error> {
    let reason = "nobody confirmed it in time";
    // First: whatever becomes of the undoing, the next run of a configuration manager must not do
    // it again.
    if let Some(journal) = pending.journals().next() {
        store.reject(&journal.header.document, reason)?;
    }
    undo_all(store, netns, pending, reason)
}

/// What `apply` does before it begins.
pub fn undo_pending(store: &Store, netns: &Netns) -> Result<(), Error> {
    let Some(pending) = store.pending()? else {
        return Ok(());
    };
    if pending.confirm_by().is_some_and(|by| by > now()) {
        return Err(unconfirmed_yet(&pending));
    }
    let code = match pending.confirm_by() {
        Some(_) => expire(store, netns, &pending)?,
        None => undo_all(store, netns, &pending, INTERRUPTED)?,
    };
    match code {
        exit::OK => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Refused,
            "an interrupted apply could not be undone, so nothing new is begun",
        )
        .hint("mend what is named above, then run netkeel recover")),
    }
}

/// What read-only verbs do: they report, and write nothing. An apply that is at work has a journal
/// too; its end is waited for, since nothing that is seen before it would be true for long.
pub fn refuse_pending(store: &Store) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        let at_work = match interrupted(store) {
            // Without privilege nobody's journal can be seen; what is seen of the host is still true.
            Err(error) if error.kind == ErrorKind::Permission => return Ok(()),
            found => match found? {
                None => return Ok(()),
                Some(error) => store.is_locked()?.then_some(error),
            },
        };
        match at_work {
            Some(_) if start.elapsed() < APPLY_LIMIT => std::thread::sleep(Duration::from_millis(20)),
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::Refused,
                    "another netkeel has been at work here for half a minute, and nothing is seen before its end",
                ));
            }
            // It may have ended between the two looks.
            None => return interrupted(store)?.map_or(Ok(()), Err),
        }
    }
}

/// What there is to say of an apply that has begun and not ended.
fn interrupted(store: &Store) -> Result<Option<Error>, Error> {
    let Some(pending) = store.pending()? else {
        return Ok(None);
    };
    if pending.confirm_by().is_some() {
        return Err(unconfirmed_yet(&pending));
    }
    let described = pending
        .journals()
        .next()
        .map(Journal::describe)
        .unwrap_or_default();
    let error = Error::new(ErrorKind::Refused, described)
        .hint("netkeel recover undoes it, netkeel recover --resume finishes it, and apply undoes it first");
    Ok(Some(error))
}

fn unconfirmed_yet(pending: &Pending) -> Error {
    let actor = pending
        .journals()
        .next()
        .map(|journal| journal.header.actor.as_str())
        .unwrap_or_default();
    Error::new(
        ErrorKind::Refused,
        format!("an apply by {actor} waits to be confirmed"),
    )
    .hint("netkeel confirm keeps it; else it is undone when its time is over")
}

fn undo_all(store: &Store, netns: &Netns, pending: &Pending, reason: &str) -> Result<u8, Error> {
    let steps: Vec<&[Op]> = pending.journals().flat_map(Journal::undo).collect();
    for journal in pending.journals().take(1) {
        output::say(&format!("{}\n", journal.describe()));
    }
    // What cannot be noted is no reason to leave the host as it is.
    let _ = store.undoing(pending);
    let (undone, remaining) = Live::with(netns, |kernel| undo(kernel, steps.into_iter()))?;
    for (op, error) in &remaining {
        output::say(&format!("not undone: {}    # {error}\n", op.command()));
    }
    if !remaining.is_empty() {
        return Ok(exit::NOT_ROLLED_BACK);
    }
    for journal in pending.journals().take(1) {
        store.undone(&journal.header.transaction)?;
        let result = format!("rolled back: {reason}");
        store.note(&journal.header, undone.iter(), &result)?;
    }
    output::say(&format!(
        "recovered: {} undone, the host is as it was before\n",
        count(undone.len(), "write")
    ));
    Ok(exit::OK)
}

/// Does what is left: files first, as the plan had it.
fn finish(store: &Store, netns: &Netns, pending: &Pending) -> Result<u8, Error> {
    let Some(live) = &pending.live else {
        return Err(Error::new(
            ErrorKind::Refused,
            "the host was rebooted meanwhile: there is nothing to resume",
        )
        .hint("netkeel recover undoes what was done to files; then apply the document again"));
    };
    if live.undoing {
        return Err(Error::new(
            ErrorKind::Refused,
            "undoing it was begun: it cannot be finished any more",
        )
        .hint("netkeel recover undoes the rest"));
    }
    let mut transaction = store.resume(pending, live)?;
    let mut done = Vec::new();
    Live::with(netns, |kernel| {
        for journal in [pending.durable.as_ref(), Some(live)].into_iter().flatten() {
            for (number, Entry { op, .. }) in journal.rest() {
                if number > journal.begun {
                    transaction.mark(op.is_durable())?;
                }
                match kernel.execute(op) {
                    // The op that was begun last may have been done.
                    Err(error)
                        if matches!(op, Op::CreateTunnel { .. }) && error.kind == ErrorKind::Refused => {}
                    other => other
                        .map_err(|error| error.context(op).hint("netkeel recover undoes it all instead"))?,
                }
                done.push(op);
            }
        }
        Ok::<(), Error>(())
    })??;
    let claims = pending.journals().flat_map(Journal::claims);
    store.commit(&live.header.transaction, claims, live.released.iter())?;
    let count = count(done.len(), "write");
    // What holds is not wrong because its history cannot be written.
    let _ = store.note(&live.header, done.into_iter(), "resumed");
    output::print(&format!(
        "Resumed: {count} done. `netkeel check` tells whether the host is in sync.\n"
    ))?;
    Ok(exit::OK)
}
