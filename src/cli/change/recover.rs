//! `netkeel recover`: rolls back or finishes an interrupted apply.

use std::time::Duration;

use clap::Args;

use crate::arguments::{LockOptions, Place};
use crate::{exit, output};
use netkeel_apply::recover;
use netkeel_apply::recover::{Cause, Undone, Unsettled, finish, undo_held};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::settled::{Gate, Settled};
use netkeel_apply::watchdog::arm::ARMED;
use netkeel_apply::watchdog::handover::Handover;
use netkeel_apply::watchdog::keep::{Order, Reports, keep};
use netkeel_core::error::Error;
use netkeel_core::name::netns::Netns;
use netkeel_render::wording::count;

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
    /// Time to roll it back, in milliseconds since boot
    #[arg(
        long,
        value_name = "MILLISECONDS",
        hide = true,
        default_value_t = 0,
        requires = "unconfirmed"
    )]
    until: u64,
    /// Where the watchdog finds the apply
    #[arg(long, value_name = "HANDOVER", hide = true, requires = "unconfirmed")]
    handover: Option<Handover>,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    if let Some(transaction) = &arguments.unconfirmed {
        let order = Order {
            transaction: transaction.clone(),
            until: Duration::from_millis(arguments.until),
            handover: arguments.handover.clone(),
            netns,
            actor: actor(),
        };
        keep(&order, &mut Spoken)?;
        return Ok(exit::OK);
    }
    let store = Store::open(&netns)?;
    let held = match store.lock(&actor(), arguments.lock.timeout)?.look()? {
        Gate::Settled(_) => {
            output::print("Nothing to recover.\n")?;
            return Ok(exit::OK);
        }
        Gate::Held(held) => held,
    };
    if !arguments.resume {
        return report(&undo_held(&held, &netns, Cause::of(held.pending()))?);
    }
    let writes = count(finish(&held, &netns)?, "write");
    output::print(&format!(
        "Resumed: {writes} done. Run `netkeel check` to see whether the host is in sync.\n"
    ))?;
    Ok(exit::OK)
}

/// Prints what the watchdog says.
struct Spoken;

impl Reports for Spoken {
    fn armed(&mut self) -> Result<(), Error> {
        output::print(ARMED)
    }

    fn undone(&mut self, undone: &Undone) {
        print(undone);
    }

    fn failed(&mut self, error: &Error) {
        output::error(error);
    }
}

/// Takes the lock, rolls back an interrupted apply before a new one, and reports it.
pub(crate) fn settle(store: &Store, netns: &Netns, actor: &str, timeout: Duration) -> Result<Settled, Error> {
    match recover::settle(store, netns, actor, timeout) {
        Ok((settled, undone)) => {
            undone.iter().for_each(print);
            Ok(settled)
        }
        Err(Unsettled::Refused(error)) => Err(error),
        Err(Unsettled::Waits(held)) => Err(recover::watched(&held)),
        Err(Unsettled::Remains(undone)) => {
            print(&undone);
            Err(undone.incomplete())
        }
    }
}

/// Prints the result of a rollback and returns its exit code.
///
/// # Errors
/// When everything was undone and that could not be written down.
pub(crate) fn report(undone: &Undone) -> Result<u8, Error> {
    print(undone);
    match (undone.remaining.is_empty(), &undone.unrecorded) {
        (false, _) => Ok(exit::NOT_ROLLED_BACK),
        (true, Some(_)) => Err(undone.incomplete()),
        (true, None) => Ok(exit::OK),
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
