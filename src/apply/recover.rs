//! An apply that was interrupted or that nobody confirmed: undoes it, finishes it, or keeps it.

use std::time::{Duration, Instant};

use crate::engine::apply::{stands, undo};
use crate::journal::{Entry, Header, Journal};
use crate::store::Store;
use crate::store::history::{Executed, HistoryEvent};
use crate::store::lock::Patience;
use crate::store::pending::Pending;
use crate::store::settled::{Gate, Held, Settled};
use crate::store::transaction::Transaction;
use crate::watchdog::arm;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_core::text::shell::Quoted;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_source::node::canonical::digest;

/// How long a reader waits for an apply that is at work.
const APPLY_LIMIT: Duration = Duration::from_secs(30);

/// Why an apply is undone, for the history. Where it was to be confirmed, its document is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was interrupted.
    Interrupted,
    /// The operator answered no to its confirmation.
    Declined,
    /// An operator undoes it while it waits to be confirmed.
    Withdrawn,
    /// Its time to be confirmed is over.
    Expired,
    /// The host was booted since, and it was not confirmed before.
    Restarted,
    /// A signal asked its watchdog to end.
    Stopped,
}

impl Cause {
    fn reason(self) -> &'static str {
        match self {
            Cause::Interrupted => "it was interrupted",
            Cause::Declined => "the answer to its confirmation was no",
            Cause::Withdrawn => "an operator rolled it back before anybody confirmed it",
            Cause::Expired => "nobody confirmed it in time",
            Cause::Restarted => "the host restarted before anybody confirmed it",
            Cause::Stopped => "its watchdog was stopped before anybody confirmed it",
        }
    }

    fn rejects(self) -> bool {
        match self {
            Cause::Interrupted | Cause::Withdrawn => false,
            Cause::Declined | Cause::Expired | Cause::Restarted | Cause::Stopped => true,
        }
    }

    /// Why a pending apply is undone by whoever finds it.
    pub fn of(pending: &Pending) -> Self {
        match (pending.is_unconfirmed(), &pending.live, pending.overdue()) {
            (true, None, _) => Cause::Restarted,
            (true, Some(_), Some(_)) => Cause::Expired,
            (true, Some(live), None) if live.complete && !live.undoing => Cause::Withdrawn,
            (true, Some(_), None) | (false, _, _) => Cause::Interrupted,
        }
    }
}

/// The result of undoing an apply.
#[derive(Debug)]
pub struct Undone {
    /// A description of the apply; `None` when neither of its journals exists.
    pub apply: Option<String>,
    /// How many writes were undone.
    pub writes: usize,
    /// The ops that could not be undone, each with the reason.
    pub remaining: Vec<(Op, Error)>,
    /// Why it could not be written down that it was undone. The next netkeel undoes it again.
    pub unrecorded: Option<Error>,
}

/// Why nothing new may begin.
#[derive(Debug)]
pub enum Unsettled {
    /// It was not tried, or the attempt itself failed.
    Refused(Error),
    /// Something remains to be undone or to be written down.
    Remains(Undone),
    /// An apply can still be confirmed.
    Waits(Box<Held>),
}

impl From<Error> for Unsettled {
    fn from(error: Error) -> Self {
        Unsettled::Refused(error)
    }
}

impl Undone {
    /// Everything is undone, and written down.
    pub fn is_whole(&self) -> bool {
        self.remaining.is_empty() && self.unrecorded.is_none()
    }

    /// Why nothing new may begin where something remains.
    pub fn incomplete(&self) -> Error {
        match &self.unrecorded {
            Some(error) if self.remaining.is_empty() => {
                let message = "an interrupted apply was rolled back, and that could not be written down";
                let error = error.clone().context(message);
                error.hint("repair the directory, then run netkeel recover")
            }
            _ => Error::new(
                ErrorKind::Refused,
                "an interrupted apply could not be rolled back, so nothing new is begun",
            )
            .hint("mend what is named above, then run netkeel recover"),
        }
    }
}

/// Takes the lock and undoes what was interrupted, and what nobody confirmed in time. Every write begins
/// here.
///
/// # Errors
/// When something remains, when an apply still waits to be confirmed, or when the lock, the journal, the
/// ledger or the namespace cannot be used.
pub fn settle(
    store: &Store,
    netns: &Netns,
    actor: &str,
    patience: Patience<'_>,
) -> Result<(Settled, Option<Undone>), Unsettled> {
    let held = match store.lock(actor, patience)?.look()? {
        Gate::Settled(settled) => return Ok((settled, None)),
        Gate::Held(held) => held,
    };
    if held.pending().time_left().is_some() {
        return Err(Unsettled::Waits(Box::new(held)));
    }
    let undone = undo_held(&held, netns, Cause::of(held.pending()))?;
    if !undone.is_whole() {
        return Err(Unsettled::Remains(undone));
    }
    match held.into_lock().look()? {
        Gate::Settled(settled) => Ok((settled, Some(undone))),
        Gate::Held(held) => Err(unconfirmed_yet(held.pending()).into()),
    }
}

/// Makes sure that an apply that waits to be confirmed has a watchdog.
///
/// # Errors
/// When no watchdog can be started: nothing rolls it back by itself then.
pub fn watch(held: &Held) -> Result<(), Error> {
    let header = held.pending().header();
    header.map_or(Ok(()), |header| arm::replace(held.store(), header))
}

/// The same; returns the message about the apply.
pub fn watched(held: &Held) -> Error {
    let error = unconfirmed_yet(held.pending());
    match watch(held) {
        Err(why) => error.hint(format!("nothing rolls it back by itself now: {}", why.message)),
        Ok(()) => error,
    }
}

/// Undoes an apply, then records that. In this order a full or read-only file system does not keep the host
/// from being as it was.
///
/// # Errors
/// When the namespace cannot be entered. Ops that could not be undone, and a failure to record, are in the
/// result.
pub fn undo_held(held: &Held, netns: &Netns, cause: Cause) -> Result<Undone, Error> {
    let pending = held.pending();
    let steps: Vec<&[Op]> = pending.journals().flat_map(Journal::undo).collect();
    // Tried before too: if this process is killed, a configuration manager must not apply the document again.
    // A failure is no reason to leave the host as it is.
    let _ = reject(held, cause);
    let _ = held.undoing();
    let (undone, remaining) = Live::with(netns, |kernel| undo(kernel, steps.into_iter()))?;
    let recorded = match remaining.is_empty() {
        true => record(held, &undone, cause),
        false => Ok(()),
    };
    Ok(Undone {
        apply: held.journal().map(|journal| match cause {
            Cause::Interrupted => journal.describe(),
            _ => format!("{}: {}", journal.name(), cause.reason()),
        }),
        writes: undone.len(),
        remaining,
        unrecorded: recorded.err(),
    })
}

/// Writes down that an apply was undone.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn record(held: &Held, undone: &[Op], cause: Cause) -> Result<(), Error> {
    let Some(journal) = held.journal() else {
        return Ok(());
    };
    reject(held, cause)?;
    held.undone(&journal.header.transaction)?;
    // It is over, with or without a line in the history.
    // A killed apply has no line of its own with the old values.
    let begun = held.pending().journals().flat_map(Journal::begun_entries);
    let executed = Executed::undone(begun, undone.iter());
    let event = HistoryEvent::RolledBack;
    let _ = held
        .store()
        .note(&journal.header, event, Some(cause.reason()), executed);
    Ok(())
}

fn reject(held: &Held, cause: Cause) -> Result<(), Error> {
    let header = match held.pending().header() {
        Some(header) if cause.rejects() && header.confirm_by.is_some() => header,
        _ => return Ok(()),
    };
    let (store, document) = (held.store(), &header.document);
    // The operator refuses these writes. That does not make the document wrong that is in force.
    if cause == Cause::Declined && is_accepted(store, header) {
        return Ok(());
    }
    match store.rejection(Some(document)) {
        Ok(Some(_)) => Ok(()),
        // A list that cannot be read can be added to.
        Ok(None) | Err(_) => store.reject(document, cause.reason()),
    }
}

/// Whether the document of an apply was accepted before.
fn is_accepted(store: &Store, header: &Header) -> bool {
    let accepted = store.accepted(&header.owner).ok().flatten();
    accepted.is_some_and(|accepted| digest(&accepted) == header.document)
}

/// Keeps an apply that waits to be confirmed: writes the files that were kept back, then commits; the number
/// of files, and the notes that could not be written, which do not change that it is kept.
///
/// # Errors
/// When a file cannot be written or was changed since, or the commit fails. The apply still waits then.
pub fn keep(held: &Held, netns: &Netns) -> Result<(usize, Vec<Error>), Error> {
    let pending = held.pending();
    let Some(live) = &pending.live else {
        return Err(Error::new(ErrorKind::Missing, "nothing waits for confirmation"));
    };
    let mut transaction = held.resume()?;
    let files = match &pending.durable {
        Some(durable) if durable.rest().next().is_some() => write_files(&mut transaction, netns, durable)?,
        _ => 0,
    };
    let claims = pending.journals().flat_map(Journal::claims);
    let store = held.store();
    // In this order: a power cut between the two must not leave a document rejected that was confirmed. One that is
    // undone after all is rejected again.
    let accepted = store.accept(&live.header.document);
    transaction.commit(claims, live.released.iter())?;
    let rest = pending.durable.iter().flat_map(Journal::rest);
    let confirmed = Executed::of_entries(rest.map(|(_, entry)| entry).take(files));
    let noted = [
        accepted,
        store.accept_waiting(&live.header),
        store.note(&live.header, HistoryEvent::Confirmed, None, confirmed),
    ];
    Ok((files, noted.into_iter().filter_map(Result::err).collect()))
}

/// Writes the files that an apply kept back until it is confirmed.
fn write_files(transaction: &mut Transaction, netns: &Netns, durable: &Journal) -> Result<usize, Error> {
    let mut files = 0;
    Live::with(netns, |kernel| {
        for (number, entry) in durable.rest() {
            unchanged(kernel, entry, number <= durable.begun)?;
            if number > durable.begun {
                transaction.mark(true)?;
            }
            kernel
                .execute(&entry.op)
                .map_err(|error| error.context(&entry.op))?;
            files += 1;
        }
        Ok::<(), Error>(())
    })??;
    Ok(files)
}

/// A file that another program has written since the plan was made is not written over: it is as its undo
/// would leave it, or as a write that was `begun` before left it.
fn unchanged(kernel: &mut dyn Kernel, entry: &Entry, begun: bool) -> Result<(), Error> {
    let (path, content) = match entry.undo.ops.first() {
        Some(Op::WriteFile { path, content, .. }) => (path, Some(content)),
        Some(Op::RemoveFile { path }) => (path, None),
        // The other ops on files name the value that they replace, and refuse another one.
        _ => return Ok(()),
    };
    let scope = Scope {
        files: [path.to_path_buf()].into_iter().collect(),
        ..Scope::default()
    };
    let host = kernel.snapshot(&scope)?;
    if let Some(problem) = host.problems.first() {
        return Err(Error::new(ErrorKind::Unreadable, problem.to_string()));
    }
    let now = host.get(&entry.fact).value();
    if now == entry.found || begun && now == entry.desired {
        return Ok(());
    }
    let was = if content.is_some() {
        "was changed"
    } else {
        "was made"
    };
    let message = format!("{} {was} by another program since the apply", path.display());
    Err(Error::new(ErrorKind::Refused, message)
        .hint("put it back, or let the apply be rolled back and apply the document again"))
}

/// Does what is left of an apply, files first, as the plan had it; the number of writes that took.
///
/// # Errors
/// When the host was booted since, when undoing was begun, when the apply was to be confirmed, when a file was
/// changed since, or when a write fails; then the journal stays, and it can be undone.
pub fn finish(held: &Held, netns: &Netns) -> Result<usize, Error> {
    let pending = held.pending();
    let Some(live) = &pending.live else {
        return Err(Error::new(
            ErrorKind::Refused,
            "the host was rebooted meanwhile: there is nothing to resume",
        )
        .hint("netkeel recover rolls back what was done to files; then apply the document again"));
    };
    if live.undoing {
        return Err(Error::new(
            ErrorKind::Refused,
            "its rollback was begun: it cannot be finished any more",
        )
        .hint("netkeel recover rolls back the rest"));
    }
    // To finish it would be to confirm it, without the time and the checks of `keep`.
    if live.header.confirm_by.is_some() {
        return Err(watched(held).hint("an apply with --confirm-within cannot be finished by `--resume`"));
    }
    let mut transaction = held.resume()?;
    let mut done = Vec::new();
    let made = Live::with(netns, |kernel| {
        for journal in [pending.durable.as_ref(), Some(live)].into_iter().flatten() {
            for (number, entry) in journal.rest() {
                let op = &entry.op;
                if op.is_durable() {
                    let instead = "netkeel recover rolls it all back instead";
                    unchanged(kernel, entry, number <= journal.begun).map_err(|error| error.hint(instead))?;
                }
                if number > journal.begun {
                    transaction.mark(op.is_durable())?;
                }
                match kernel.execute(op) {
                    // The op that was begun last may have been done.
                    Err(_) if number == journal.begun && stands(kernel, op) => {}
                    other => other.map_err(|error| {
                        error
                            .context(op)
                            .hint("netkeel recover rolls it all back instead")
                    })?,
                }
                done.push(op);
            }
        }
        kernel.snapshot(&Scope::default()).map(|now| now.devices())
    })??;
    let claims = pending.journals().flat_map(Journal::claims);
    let claims = claims.map(|claim| claim.on_made(&made));
    // Only its hash is known here: no boot falls back to a document from before.
    let commit = || transaction.commit(claims, live.released.iter());
    held.store().forget_accepted_and(&live.header.owner, commit)?;
    let writes = done.len();
    // The interrupted apply has no line of its own: this one has all its writes. A missing line does not change
    // the result.
    let executed = Executed::of_entries(pending.journals().flat_map(|journal| &journal.entries));
    let _ = held
        .store()
        .note(&live.header, HistoryEvent::Resumed, None, executed);
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

/// The message about an apply that began and did not end.
fn interrupted(store: &Store) -> Result<Option<Error>, Error> {
    let Some(pending) = store.pending()? else {
        return Ok(None);
    };
    if pending.time_left().is_some() {
        return Err(unconfirmed_yet(&pending));
    }
    if pending.confirm_by().is_some() {
        return Ok(Some(unconfirmed_yet(&pending)));
    }
    let described = pending
        .journals()
        .next()
        .map(Journal::describe)
        .unwrap_or_default();
    let error = Error::new(ErrorKind::Refused, described).hint(
        "netkeel recover rolls it back, netkeel recover --resume finishes it, and apply rolls it back first",
    );
    Ok(Some(error))
}

/// The command that keeps an apply, as an operator can paste it.
pub fn confirm_command(netns: &Netns) -> String {
    command("confirm", netns)
}

fn command(verb: &str, netns: &Netns) -> String {
    match netns.name() {
        Some(name) => format!("netkeel {verb} --netns {}", Quoted(name)),
        None => format!("netkeel {verb}"),
    }
}

/// The message about an apply that was not confirmed: how long it still can be, or how long its undoing is
/// overdue.
pub fn unconfirmed_yet(pending: &Pending) -> Error {
    let header = pending.header();
    let netns = header.map_or(&Netns::CURRENT, |header| &header.netns);
    let actor = header.map(|header| header.actor.as_str()).unwrap_or_default();
    match (pending.time_left(), pending.overdue()) {
        (None, Some(late)) => {
            let seconds = late.as_secs();
            let message =
                format!("an apply by {actor} was not confirmed, and its rollback is overdue by {seconds} s");
            Error::new(ErrorKind::Refused, message)
                .hint(format!("`{}` rolls it back now", command("recover", netns)))
        }
        (None, None) => {
            let message = format!("an apply by {actor} that was to be confirmed was interrupted");
            Error::new(ErrorKind::Refused, message)
                .hint(format!("`{}` rolls it back now", command("recover", netns)))
        }
        (Some(left), _) => {
            let left = left.as_millis().div_ceil(1000);
            let message = format!("an apply by {actor} waits to be confirmed for another {left} s");
            Error::new(ErrorKind::Refused, message).hint(format!(
                "`{}` keeps it; else it is rolled back when its time is over",
                confirm_command(netns)
            ))
        }
    }
}
