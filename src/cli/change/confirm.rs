//! `netkeel confirm`: keeps the changes of a pending `apply --confirm-within`.

use clap::Args;

use crate::arguments::{LockOptions, Place};
use crate::change::recover;
use crate::{exit, output};
use netkeel_apply::clock::now;
use netkeel_apply::journal::Journal;
use netkeel_apply::recover::expire;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::transaction::Pending;
use netkeel_core::error::{Error, ErrorKind};

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
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    let _lock = store.lock(&actor(), arguments.lock.timeout)?;
    let pending = store.pending()?;
    if let Some(journal) = pending.iter().flat_map(Pending::journals).next()
        && (!journal.complete || journal.undoing)
    {
        return Err(Error::new(ErrorKind::Refused, journal.describe())
            .hint("an incomplete apply cannot be kept: roll it back with `netkeel recover`"));
    }
    let waiting = pending.and_then(|pending| Some((pending.confirm_by()?, pending)));
    let Some((by, pending)) = waiting else {
        let last = store.history()?.pop();
        if last.is_some_and(|done| done.result.starts_with("rolled back")) {
            output::say("too late: the changes were already rolled back\n");
            return Ok(exit::ROLLED_BACK);
        }
        return Err(Error::new(ErrorKind::Missing, "nothing waits for confirmation"));
    };
    if by <= now() {
        output::say("too late: the time to confirm is over\n");
        recover::report(&expire(&store, &netns, &pending)?);
        return Ok(exit::ROLLED_BACK);
    }
    for journal in pending.journals().take(1) {
        let header = &journal.header;
        let claims = pending.journals().flat_map(Journal::claims);
        store.commit(&header.transaction, claims, journal.released.iter())?;
        store.accept(&header.document)?;
        store.note(header, std::iter::empty(), "confirmed")?;
    }
    output::print("Confirmed: the changes stay.\n")?;
    Ok(exit::OK)
}
