//! `netkeel recover`: undoes or finishes an apply that was interrupted.

use clap::Args;

use super::arguments::{LockOptions, Place};
use super::{exit, output};
use crate::apply::undo;
use crate::error::{Error, ErrorKind};
use crate::journal::Journal;
use crate::kernel::{Kernel, Live};
use crate::netns::Netns;
use crate::op::Op;
use crate::render::count;
use crate::store::{Pending, Store, actor};

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
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    let _lock = store.lock(&actor(), arguments.lock.timeout)?;
    let Some(pending) = store.pending()? else {
        output::print("Nothing to recover.\n")?;
        return Ok(exit::OK);
    };
    if arguments.resume {
        finish(&store, &netns, &pending)
    } else {
        undo_all(&store, &netns, &pending)
    }
}

/// What `apply` does before it begins.
pub fn undo_pending(store: &Store, netns: &Netns) -> Result<(), Error> {
    let Some(pending) = store.pending()? else {
        return Ok(());
    };
    match undo_all(store, netns, &pending)? {
        exit::OK => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Refused,
            "an interrupted apply could not be undone, so nothing new is begun",
        )
        .hint("mend what is named above, then run netkeel recover")),
    }
}

/// What read-only verbs do: they report, and write nothing.
pub fn refuse_pending(store: &Store) -> Result<(), Error> {
    match store.pending() {
        Ok(None) => Ok(()),
        Ok(Some(pending)) => {
            let described = journals(&pending)
                .next()
                .map(Journal::describe)
                .unwrap_or_default();
            Err(Error::new(ErrorKind::Refused, described).hint(
                "netkeel recover undoes it, netkeel recover --resume finishes it, and apply undoes it first",
            ))
        }
        // Without privilege nobody's journal can be seen; what is seen of the host is still true.
        Err(error) if error.kind == ErrorKind::Permission => Ok(()),
        Err(error) => Err(error),
    }
}

/// The live one first: that is the order of undoing.
fn journals(pending: &Pending) -> impl Iterator<Item = &Journal> {
    pending.live.iter().chain(&pending.durable)
}

fn undo_all(store: &Store, netns: &Netns, pending: &Pending) -> Result<u8, Error> {
    let ops: Vec<Op> = journals(pending).flat_map(Journal::undo).cloned().collect();
    for journal in journals(pending).take(1) {
        output::say(&format!("{}\n", journal.describe()));
    }
    let (undone, remaining) = Live::with(netns, |kernel| undo(kernel, ops.into_iter()))?;
    for (op, error) in &remaining {
        output::say(&format!("not undone: {op}    # {error}\n"));
    }
    if !remaining.is_empty() {
        return Ok(exit::NOT_ROLLED_BACK);
    }
    for journal in journals(pending).take(1) {
        store.undone(&journal.header.transaction)?;
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
    let rest: Vec<Op> = [pending.durable.as_ref(), Some(live)]
        .into_iter()
        .flatten()
        .flat_map(Journal::rest)
        .map(|entry| entry.op.clone())
        .collect();
    let done = rest.len();
    Live::with(netns, |kernel| {
        rest.iter().try_for_each(|op| match kernel.execute(op) {
            // The op that was begun last may have been done.
            Err(error) if matches!(op, Op::CreateTunnel { .. }) && error.kind == ErrorKind::Refused => Ok(()),
            other => other.map_err(|error| error.context(op)),
        })
    })??;
    let claims = journals(pending).flat_map(Journal::claims).collect();
    store.commit(&live.header.transaction, claims, Vec::new())?;
    output::print(&format!(
        "Resumed: {} done. `netkeel check` tells whether the host is in sync.\n",
        count(done, "write")
    ))?;
    Ok(exit::OK)
}
