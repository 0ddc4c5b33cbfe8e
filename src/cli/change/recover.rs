//! `netkeel recover`: undoes or finishes an apply that was interrupted.

use std::time::Duration;

use clap::Args;

use crate::arguments::{LockOptions, Place, parse_duration};
use crate::{exit, output};
use netkeel_apply::recover::{Undone, Unsettled, expire, finish, undo_all, undo_pending};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::watchdog::ARMED;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_render::wording::count;

/// How long the watchdog waits for whoever holds the lock: it is the last that could undo.
const PATIENCE: Duration = Duration::MAX;

/// Undoes an apply that was interrupted by a crash; with --resume, finishes it.
///
/// `apply` undoes one by itself before it begins. After a reboot only files are left to undo:
/// the rest died with the kernel it was written to.
///
/// Exit status: 0; 1 when it could not be done; 4 when something could not be undone.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
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
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
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
    if !arguments.resume {
        return Ok(told(&undo_all(&store, &netns, &pending)?));
    }
    let writes = count(finish(&store, &netns, &pending)?, "write");
    output::print(&format!(
        "Resumed: {writes} done. `netkeel check` tells whether the host is in sync.\n"
    ))?;
    Ok(exit::OK)
}

/// What the watchdog does when its time has come. Another apply may hold the lock meanwhile, but
/// none can begin over one that waits to be confirmed.
pub(crate) fn unconfirmed(
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
        Some(pending) if pending.transaction() == Some(transaction) => {
            Ok(told(&expire(store, netns, &pending)?))
        }
        _ => Ok(exit::OK),
    }
}

/// What an apply by hand does before it begins: undoes one that was interrupted, and tells of it.
pub(crate) fn settle(store: &Store, netns: &Netns) -> Result<(), Error> {
    match undo_pending(store, netns) {
        Ok(undone) => {
            undone.iter().for_each(tell);
            Ok(())
        }
        Err(Unsettled::Refused(error)) => Err(error),
        Err(Unsettled::Remains(undone)) => {
            tell(&undone);
            Err(undone.incomplete())
        }
    }
}

/// Tells what undoing came to; the exit code that it means.
pub(crate) fn told(undone: &Undone) -> u8 {
    tell(undone);
    match undone.remaining.is_empty() {
        true => exit::OK,
        false => exit::NOT_ROLLED_BACK,
    }
}

fn tell(undone: &Undone) {
    if let Some(apply) = &undone.apply {
        output::say(&format!("{apply}\n"));
    }
    for (op, error) in &undone.remaining {
        output::say(&format!("not undone: {}    # {error}\n", op.command()));
    }
    if undone.remaining.is_empty() {
        let writes = count(undone.writes, "write");
        output::say(&format!(
            "recovered: {writes} undone, the host is as it was before\n"
        ));
    }
}
