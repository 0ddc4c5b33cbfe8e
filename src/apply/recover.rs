//! An apply that was interrupted or that nobody confirmed: undoes it, or does what is left of it.

use std::time::{Duration, Instant};

use crate::clock::now;
use crate::engine::apply::undo;
use crate::journal::{Entry, Journal};
use crate::store::Store;
use crate::store::transaction::Pending;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;

/// How long a reader waits for an apply that is at work.
const APPLY_LIMIT: Duration = Duration::from_secs(30);

/// What undoing an apply came to.
#[derive(Debug)]
pub struct Undone {
    /// What the apply was; none when neither of its journals is there.
    pub apply: Option<String>,
    /// How many writes were undone.
    pub writes: usize,
    /// What could not be undone, each with the reason.
    pub remaining: Vec<(Op, Error)>,
}

/// Why nothing new may begin.
#[derive(Debug)]
pub enum Unsettled {
    /// It was not tried, or the attempt itself failed.
    Refused(Error),
    /// Something remains: [`Undone::remaining`] is not empty.
    Remains(Undone),
}

impl From<Error> for Unsettled {
    fn from(error: Error) -> Self {
        Unsettled::Refused(error)
    }
}

impl Undone {
    /// Why nothing new may begin where something remains.
    pub fn incomplete(&self) -> Error {
        Error::new(
            ErrorKind::Refused,
            "an interrupted apply could not be undone, so nothing new is begun",
        )
        .hint("mend what is named above, then run netkeel recover")
    }
}

/// Undoes what was interrupted, and what nobody confirmed in time. An apply does this before it begins;
/// whoever calls holds the lock.
///
/// # Errors
/// When something remains, when an apply still waits to be confirmed, or when the journal, the ledger
/// or the namespace cannot be used.
pub fn undo_pending(store: &Store, netns: &Netns) -> Result<Option<Undone>, Unsettled> {
    let Some(pending) = store.pending()? else {
        return Ok(None);
    };
    if pending.confirm_by().is_some_and(|by| by > now()) {
        return Err(unconfirmed_yet(&pending).into());
    }
    let undone = match pending.confirm_by() {
        Some(_) => expire(store, netns, &pending)?,
        None => undo_all(store, netns, &pending)?,
    };
    match undone.remaining.is_empty() {
        true => Ok(Some(undone)),
        false => Err(Unsettled::Remains(undone)),
    }
}

/// Undoes an apply that was not confirmed in time, and remembers its document. Whoever calls holds the
/// lock.
///
/// # Errors
/// When the store cannot be written or the namespace cannot be entered. What could not be undone is no
/// error here: see [`Undone::remaining`].
pub fn expire(store: &Store, netns: &Netns, pending: &Pending) -> Result<Undone, Error> {
    let reason = "nobody confirmed it in time";
    // First: whatever becomes of the undoing, the next run of a configuration manager must not do
    // it again.
    if let Some(journal) = pending.journals().next() {
        store.reject(&journal.header.document, reason)?;
    }
    undo_for(store, netns, pending, reason)
}

/// Undoes an apply that was interrupted. Whoever calls holds the lock.
///
/// # Errors
/// Those of [`expire`].
pub fn undo_all(store: &Store, netns: &Netns, pending: &Pending) -> Result<Undone, Error> {
    undo_for(store, netns, pending, "it was interrupted")
}

fn undo_for(store: &Store, netns: &Netns, pending: &Pending, reason: &str) -> Result<Undone, Error> {
    let steps: Vec<&[Op]> = pending.journals().flat_map(Journal::undo).collect();
    // What cannot be noted is no reason to leave the host as it is.
    let _ = store.undoing(pending);
    let (undone, remaining) = Live::with(netns, |kernel| undo(kernel, steps.into_iter()))?;
    let journal = pending.journals().next();
    if let Some(journal) = journal.filter(|_| remaining.is_empty()) {
        store.undone(&journal.header.transaction)?;
        let result = format!("rolled back: {reason}");
        store.note(&journal.header, undone.iter(), &result)?;
    }
    Ok(Undone {
        apply: journal.map(Journal::describe),
        writes: undone.len(),
        remaining,
    })
}

/// Does what is left of an apply, files first, as the plan had it; the number of writes that took.
/// Whoever calls holds the lock.
///
/// # Errors
/// When the host was booted since, when undoing was begun, or when a write fails; then the journal
/// stays, and it can be undone.
pub fn finish(store: &Store, netns: &Netns, pending: &Pending) -> Result<usize, Error> {
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
    let writes = done.len();
    // What holds is not wrong because its history cannot be written.
    let _ = store.note(&live.header, done.into_iter(), "resumed");
    Ok(writes)
}

/// Waits for an apply that is at work, and refuses to look beside one that was interrupted: nothing that
/// is seen before its end would be true for long. It writes nothing.
///
/// # Errors
/// When an apply was interrupted, waits to be confirmed, or is at work for half a minute.
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
