//! `netkeel recover`: rolls back or finishes an interrupted apply.

use std::time::Duration;

use clap::Args;

use crate::arguments::{LockOptions, Place, parse_pause};
use crate::change::said::Said;
use crate::change::service_holder::{PauseOption, Way, clear_way};
use crate::change::watcher::interruptions;
use crate::{commands, exit, output};
use netkeel_apply::engine::stop::Stop;
use netkeel_apply::journal::{Header, Work};
use netkeel_apply::recover;
use netkeel_apply::recover::{Cause, Undone, Unsettled, finish, undo_held};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::kept::left_rules::LeftRules;
use netkeel_apply::store::lock::Patience;
use netkeel_apply::store::pending::Pending;
use netkeel_apply::store::settled::{Gate, Settled};
use netkeel_apply::watchdog::arm::ARMED;
use netkeel_apply::watchdog::handover::Handover;
use netkeel_apply::watchdog::keep::{Order, Reports, keep};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::live::snapshot::Live;
use netkeel_render::wording::count;

/// Roll back or finish an apply that a crash interrupted
///
/// `apply` rolls back an interrupted apply before it starts. After a reboot only files are left to
/// restore: other changes were lost with the old kernel.
///
/// If nothing was interrupted, it removes the rules that a service could not remove when it stopped.
///
/// Exit status: 0 success; 1 error; 4 some writes could not be undone.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
    /// Finish the remaining writes instead of rolling back
    ///
    /// An apply with --confirm-within is not finished: confirm it, or let it be rolled back.
    #[arg(long)]
    resume: bool,
    /// With --resume, pause a running service of this owner first, e.g. 1h
    #[arg(long, value_name = "DURATION", value_parser = parse_pause, requires = "resume")]
    pause: Option<Duration>,
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
    // Also for what is undone here: its watchdog could not undo it beside a process that is stopped with the lock.
    let interrupted = interruptions()?;
    let patience = Patience::unless(&interrupted, arguments.lock.timeout);
    if arguments.resume {
        let way = way(&store, &PauseOption::of(arguments.pause))?;
        return match resume(&store, &netns, patience, &way) {
            Ok(writes) => {
                way.tell();
                output::print_done(&resumed(writes));
                Ok(exit::OK)
            }
            Err(error) => {
                way.close();
                Err(error)
            }
        };
    }
    let held = match store.lock(&actor(), patience)?.look()? {
        Gate::Settled(settled) => {
            let removed = remove_left_rules(&store, &settled, &netns)?;
            drop(settled);
            match removed {
                0 => output::print(NOTHING)?,
                writes => output::print_done(&format!(
                    "Removed the rules that a service left when it stopped: {}.\n",
                    count(writes, "write")
                )),
            }
            return Ok(exit::OK);
        }
        Gate::Held(held) => held,
    };
    let undone = undo_held(&held, &netns, Cause::of(held.pending()))?;
    drop(held);
    report(&undone)
}

/// Removes the rules that a service could not remove when it stopped. One that runs does so itself.
fn remove_left_rules(store: &Store, settled: &Settled, netns: &Netns) -> Result<usize, Error> {
    let Some(LeftRules { owner, facts }) = store.left_rules()? else {
        return Ok(0);
    };
    match store.connect() {
        Ok(_) => return Ok(0),
        Err(error) if error.kind == ErrorKind::Missing => {}
        // Whether one runs is not known.
        Err(error) => return Err(error),
    }
    let ledger = store.ledger()?;
    let stop = Stop {
        owner: &owner,
        netns,
        facts: &facts,
        actor: &actor(),
        lossy: false,
    };
    let removed = Live::with(netns, |kernel| stop.run(settled, &ledger, kernel))??;
    store.forget_left_rules()?;
    Ok(removed)
}

/// Makes sure that a service does not revert at once what is finished.
fn way<'a>(store: &'a Store, pause: &PauseOption) -> Result<Way<'a>, Error> {
    match store.pending()?.as_ref().and_then(Pending::header) {
        Some(header) => clear_way(store, &header.owner, document(header), pause),
        None => Ok(Way::is_clear(store)),
    }
}

/// The document of an apply; none of another work.
fn document(header: &Header) -> Option<&str> {
    (header.work == Work::Apply).then_some(header.document.as_str())
}

/// Finishes an interrupted apply; the number of writes, if there was one.
fn resume(
    store: &Store,
    netns: &Netns,
    patience: Patience<'_>,
    way: &Way<'_>,
) -> Result<Option<usize>, Error> {
    match store.lock(&actor(), patience)?.look()? {
        Gate::Settled(_) => Ok(None),
        Gate::Held(held) => {
            if let Some(header) = held.pending().header() {
                way.is_still_clear(&header.owner, document(header))?;
            }
            finish(&held, netns).map(Some)
        }
    }
}

fn resumed(writes: Option<usize>) -> String {
    match writes {
        Some(writes) => format!(
            "Resumed: {} done. Run `{}` to see whether the host is in sync.\n",
            count(writes, "write"),
            commands::here("netkeel check")
        ),
        None => NOTHING.to_owned(),
    }
}

/// The result where no apply is pending.
const NOTHING: &str = "Nothing to recover.\n";

/// Prints what the watchdog says. It never waits for a reader: it has a promise to keep.
struct Spoken;

impl Reports for Spoken {
    fn armed(&mut self) -> Result<(), Error> {
        output::print(ARMED)
    }

    fn undone(&mut self, undone: &Undone) {
        output::say_if_read(&text(undone));
    }

    fn failed(&mut self, error: &Error) {
        output::say_if_read(&output::error_text(error));
    }
}

/// Takes the lock, and rolls back an interrupted apply before a new one, which is then `said`.
pub(crate) fn settle<'a>(
    store: &Store,
    netns: &Netns,
    actor: &str,
    patience: impl Into<Patience<'a>>,
    said: &mut Said,
) -> Result<Settled, Error> {
    match recover::settle(store, netns, actor, patience.into()) {
        Ok((settled, undone)) => {
            undone.iter().for_each(|undone| said.add(&text(undone)));
            Ok(settled)
        }
        Err(Unsettled::Refused(error)) => Err(error),
        Err(Unsettled::Waits(held)) => Err(recover::watched(&held)),
        Err(Unsettled::Remains(undone)) => {
            said.add(&text(&undone));
            Err(undone.incomplete())
        }
    }
}

/// Prints the result of a rollback and returns its exit code.
///
/// # Errors
/// When everything was undone and that could not be written down.
pub(crate) fn report(undone: &Undone) -> Result<u8, Error> {
    output::say(&text(undone));
    match (undone.remaining.is_empty(), &undone.unrecorded) {
        (false, _) => Ok(exit::NOT_ROLLED_BACK),
        (true, Some(_)) => Err(undone.incomplete()),
        (true, None) => Ok(exit::OK),
    }
}

/// Prints the result of a rollback of what was to be kept, and returns its exit code: it is no success.
///
/// # Errors
/// When everything was undone and that could not be written down.
pub(crate) fn report_rolled_back(undone: &Undone) -> Result<u8, Error> {
    Ok(match report(undone)? {
        exit::OK => exit::ROLLED_BACK,
        left => left,
    })
}

/// The result of a rollback.
fn text(undone: &Undone) -> String {
    let mut text = String::new();
    if let Some(apply) = &undone.apply {
        text.push_str(&format!("{apply}\n"));
    }
    for (op, error) in &undone.remaining {
        text.push_str(&format!("not undone: {}    # {error}\n", op.command()));
    }
    if undone.remaining.is_empty() {
        let writes = count(undone.writes, "write");
        text.push_str(&format!("rolled back: {writes} undone, the host is as before\n"));
    }
    text
}
