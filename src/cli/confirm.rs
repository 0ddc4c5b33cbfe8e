//! `netkeel confirm`: keeps what `apply --confirm-within` did.

use clap::Args;

use super::arguments::{LockOptions, Place};
use super::{exit, output, recover};
use crate::error::{Error, ErrorKind};
use crate::journal::Journal;
use crate::recover::expire;
use crate::store::{Pending, Store, actor, now};

/// Keeps what `apply --confirm-within` did: it is not undone any more.
///
/// Exit status: 0; 1 when nothing waits to be confirmed; 3 when it was undone already.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    let _lock = store.lock(&actor(), arguments.lock.timeout)?;
    let pending = store.pending()?;
    if let Some(journal) = pending.iter().flat_map(Pending::journals).next()
        && (!journal.complete || journal.undoing)
    {
        return Err(Error::new(ErrorKind::Refused, journal.describe())
            .hint("half of an apply is not kept: netkeel recover undoes it"));
    }
    let waiting = pending.and_then(|pending| Some((pending.confirm_by()?, pending)));
    let Some((by, pending)) = waiting else {
        let last = store.history()?.pop();
        if last.is_some_and(|done| done.result.starts_with("rolled back")) {
            output::say("too late: it was undone already\n");
            return Ok(exit::ROLLED_BACK);
        }
        return Err(Error::new(ErrorKind::Missing, "nothing waits to be confirmed"));
    };
    if by <= now() {
        output::say("too late: its time is over\n");
        recover::told(&expire(&store, &netns, &pending)?);
        return Ok(exit::ROLLED_BACK);
    }
    for journal in pending.journals().take(1) {
        let header = &journal.header;
        let claims = pending.journals().flat_map(Journal::claims);
        store.commit(&header.transaction, claims, journal.released.iter())?;
        store.accept(&header.document)?;
        store.note(header, std::iter::empty(), "confirmed")?;
    }
    output::print("Confirmed: it stays.\n")?;
    Ok(exit::OK)
}
