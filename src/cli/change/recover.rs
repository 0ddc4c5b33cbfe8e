//! `netkeel recover`: rolls back or finishes an interrupted apply.

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

/// How long the watchdog waits for the lock. It is the last process that can roll back, so it never gives up.
const PATIENCE: Duration = Duration::MAX;

/// Roll back or finish an apply that a crash interrupted
///
/// `apply` rolls back an interrupted apply before it starts. After a reboot only files are left to
/// restore: other changes were lost with the old kernel.
///
/// Exit status: 0 success; 1 error; 4 some writes could not be undone.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
    /// Finish the remaining writes instead of rolling back
    #[arg(long)]
    resume: bool,
    /// Roll back this apply if it is still unconfirmed; used by the watchdog
    #[arg(long, value_name = "TRANSACTION", hide = true, conflicts_with = "resume")]
    unconfirmed: Option<String>,
    /// Wait this long first
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
        return Ok(report(&undo_all(&store, &netns, &pending)?));
    }
    let writes = count(finish(&store, &netns, &pending)?, "write");
    output::print(&format!(
        "Resumed: {writes} done. Run `netkeel check` to see whether the host is in sync.\n"
    ))?;
    Ok(exit::OK)
}

/// Rolls back an unconfirmed apply after a delay; the watchdog runs this. Another apply may hold the
/// lock meanwhile, but no apply can start while one waits for confirmation.
pub(crate) fn unconfirmed(
    store: &Store,
    netns: &Netns,
    transaction: &str,
    after: Option<Duration>,
) -> Result<u8, Error> {
    if let Some(after) = after {
        // In its own session the watchdog receives neither Ctrl-C nor SIGHUP.
        nix::unistd::setsid().map_err(|errno| {
            Error::new(
                ErrorKind::Refused,
                format!("the watchdog cannot start its own session: {errno}"),
            )
        })?;
        output::print(ARMED)?;
        std::thread::sleep(after);
    }
    let _lock = store.lock(&actor(), PATIENCE)?;
    match store.pending()? {
        Some(pending) if pending.transaction() == Some(transaction) => {
            Ok(report(&expire(store, netns, &pending)?))
        }
        _ => Ok(exit::OK),
    }
}

/// Rolls back an interrupted apply before a new one, and reports it.
pub(crate) fn settle(store: &Store, netns: &Netns) -> Result<(), Error> {
    match undo_pending(store, netns) {
        Ok(undone) => {
            undone.iter().for_each(print);
            Ok(())
        }
        Err(Unsettled::Refused(error)) => Err(error),
        Err(Unsettled::Remains(undone)) => {
            print(&undone);
            Err(undone.incomplete())
        }
    }
}

/// Prints the result of a rollback and returns its exit code.
pub(crate) fn report(undone: &Undone) -> u8 {
    print(undone);
    match undone.remaining.is_empty() {
        true => exit::OK,
        false => exit::NOT_ROLLED_BACK,
    }
}

fn print(undone: &Undone) {
    if let Some(apply) = &undone.apply {
        output::say(&format!("{apply}\n"));
    }
    for (op, error) in &undone.remaining {
        output::say(&format!("not undone: {}    # {error}\n", op.command()));
    }
    if undone.remaining.is_empty() {
        let writes = count(undone.writes, "write");
        output::say(&format!("recovered: {writes} undone, the host is as before\n"));
    }
}
