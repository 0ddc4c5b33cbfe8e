//! `netkeel release`: restores everything that an owner holds.

use clap::Args;

use crate::arguments::{FullOption, LockOptions, Output, Place};
use crate::change::apply::new_drift::end_exit;
use crate::change::failed::failed;
use crate::change::holds_nothing::holds_nothing;
use crate::change::prompt::{Prompt, ask};
use crate::change::recover;
use crate::change::said::Said;
use crate::change::service_holder::{PauseOption, Way, clear_way};
use crate::change::watcher::{Guard, Watcher};
use crate::output::Detail;
use crate::{exit, output};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::recorder::Recorder;
use netkeel_apply::engine::session::Session;
use netkeel_apply::journal::Work;
use netkeel_apply::recover::refuse_pending;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_core::error::Error;
use netkeel_core::name::netns::Netns;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::lint::plan;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::goal::{Goal, Release};
use netkeel_plan::outcome::{Applied, Failure};
use netkeel_plan::plan::Plan;
use netkeel_render::wording::{count, unrestored};
use netkeel_source::sources::Sources;

/// Restore the values that netkeel changed for an owner
///
/// netkeel also removes the objects that it created for the owner. A value that another program
/// changed since is left unchanged.
///
/// `netkeel owners` lists the owners. Releasing an owner that holds nothing is an error.
///
/// On a terminal netkeel shows the changes and asks before it writes, unless --yes is given. Without a
/// terminal it does not ask.
///
/// A running service that enforces a document of the owner would write the values again, so that
/// the release is refused, unless --pause pauses the service.
///
/// A change to the interface of the default route or SSH session is refused, unless
/// --allow-management is given.
///
/// Exit status: 0 success; 1 error, nothing was written; 3 failed and rolled back; 4 failed and
/// rolling back failed too, or a setting could not be restored; 5 the writes hold, but another program changed other settings of the
/// owner meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
    /// Owner whose settings are restored
    #[arg(long, default_value = "default")]
    owner: String,
    /// Show what would be restored; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Allow changes that cannot be undone exactly
    #[arg(long)]
    allow_lossy: bool,
    /// Allow changes to the interface of the default route or SSH session
    #[arg(long)]
    allow_management: bool,
    #[command(flatten)]
    full: FullOption,
    #[command(flatten)]
    pause: PauseOption,
    #[command(flatten)]
    prompt: Prompt,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    if arguments.dry_run {
        refuse_pending(&store)?;
        let Some(plan) = show(arguments, &store, &netns)? else {
            return Ok(exit::ERROR);
        };
        output::problems(&plan.problems);
        return Ok(match plan.problems.is_empty() {
            true => exit::OK,
            false => exit::ERROR,
        });
    }
    let agreed = match arguments.prompt.asks() {
        true => Some(agree(arguments, &store, &netns)?),
        false => None,
    };
    let mut watch = Watcher::new(Guard::of(arguments.allow_management, &netns))?;
    watch.agreed = agreed;
    let way = clear_way(&store, &arguments.owner, None, &arguments.pause)?;
    match release(arguments, &store, &netns, watch, &way) {
        Ok(Ok((released, held))) => {
            way.tell();
            Ok(report(arguments, &released, held))
        }
        Ok(Err(failure)) => {
            way.close();
            Ok(failed(failure, &Sources::default()))
        }
        Err(error) => {
            way.close();
            Err(error)
        }
    }
}

/// Shows the changes on a terminal and asks. Returns the writes that were agreed to: none where there is nothing to ask.
///
/// # Errors
/// When the answer is no.
fn agree(arguments: &Arguments, store: &Store, netns: &Netns) -> Result<Vec<String>, Error> {
    // The lock is not held while somebody reads.
    let mut said = Said::default();
    let settled = recover::settle(store, netns, &actor(), arguments.lock.timeout, &mut said)?;
    drop(settled);
    drop(said);
    // Of an owner without records nothing can be shown. Its accepted document is forgotten all the same.
    if store.ledger()?.of(&arguments.owner).next().is_none() {
        return Ok(Vec::new());
    }
    let Some(plan) = show(arguments, store, netns)? else {
        return Ok(Vec::new());
    };
    let is_refused = !plan.problems.is_empty() || !arguments.allow_lossy && plan.lossy().next().is_some();
    // Where it is no longer refused by then, nothing was agreed to.
    if is_refused {
        return Ok(Vec::new());
    }
    if !plan.steps.is_empty() {
        ask(&format!(
            "Give back the {} of the owner {}?",
            count(plan.released.len(), "fact"),
            printable(&arguments.owner)
        ))?;
    }
    Ok(plan.steps.iter().map(|step| step.op.to_string()).collect())
}

/// Shows what would be restored, and returns it; `None` if there is no plan, which is reported.
fn show(arguments: &Arguments, store: &Store, netns: &Netns) -> Result<Option<Plan>, Error> {
    let ledger = store.ledger()?;
    if ledger.of(&arguments.owner).next().is_none() {
        let error = holds_nothing(&arguments.owner, &ledger);
        return Err(match store.accepted(&arguments.owner) {
            Ok(None) => error,
            Ok(Some(_)) | Err(_) => error.hint("its last accepted document would be forgotten"),
        });
    }
    let goal = Release {
        ledger: &ledger,
        owner: &arguments.owner,
        netns,
    };
    let sources = Sources::default();
    let host = Live::with(netns, |kernel| kernel.snapshot(&goal.scope()))??;
    match goal.plan(&host) {
        Ok(mut planned) => {
            plan::add(None, &mut planned, &host);
            let detail = Detail {
                commands: arguments.dry_run,
                full: arguments.full,
            };
            output::plan(&planned.plan, &sources, Output::Text, detail, output::here())?;
            Ok(Some(planned.plan))
        }
        Err(diagnostics) => {
            output::diagnostics(&diagnostics, &sources);
            Ok(None)
        }
    }
}

/// The number of facts that an owner held.
struct Held {
    own: usize,
    /// Those that changed only with others.
    side_effects: usize,
}

/// Restores, and returns also what the owner held.
fn release(
    arguments: &Arguments,
    store: &Store,
    netns: &Netns,
    mut watch: Watcher,
    way: &Way<'_>,
) -> Result<Result<(Applied, Held), Failure>, Error> {
    let actor = actor();
    let mut said = Said::default();
    let patience = watch.patience(arguments.lock.timeout);
    let settled = recover::settle(store, netns, &actor, patience, &mut said)?;
    way.is_still_clear(&arguments.owner, None)?;
    let ledger = store.ledger()?;
    if ledger.of(&arguments.owner).next().is_none() {
        let error = holds_nothing(&arguments.owner, &ledger);
        return Err(forget_accepted(store, &arguments.owner, error));
    }
    let goal = Release {
        ledger: &ledger,
        owner: &arguments.owner,
        netns,
    };
    let (side_effects, own): (Vec<_>, Vec<_>) = ledger
        .of(&arguments.owner)
        .partition(|record| record.caused_by.is_some());
    let held = Held {
        own: own.len(),
        side_effects: side_effects.len(),
    };
    let log = Recorder::new(&settled, netns.clone(), &arguments.owner, "release", &actor);
    let mut log = log.work(Work::Release);
    log.compacts = ledger.wants_compacting();
    log.forgets = true;
    log.undoable = Some(&ledger);
    let lossy = arguments.allow_lossy;
    let outcome = Live::with(netns, |kernel| {
        apply(
            &goal,
            Session {
                kernel,
                log: &mut log,
                lossy,
                watch: &mut watch,
            },
        )
        .outcome
    })?;
    let outcome = outcome.map(|mut applied| {
        plan::add(None, &mut applied.planned, &applied.before);
        applied
    });
    drop(log);
    // No boot brings back what was restored. Where there was nothing to write, nothing was committed.
    if outcome.is_ok()
        && let Err(error) = store.forget_accepted(&arguments.owner)
    {
        said.add(&output::error_text(&error));
    }
    drop(settled);
    drop(said);
    watch.clear();
    Ok(outcome.map(|released| (released, held)))
}

/// Forgets a document that was applied when the host was as it says already: nothing is held, and nothing is to be
/// brought back.
fn forget_accepted(store: &Store, owner: &str, error: Error) -> Error {
    match store.accepted(owner) {
        Ok(None) => error,
        Ok(Some(_)) | Err(_) => match store.forget_accepted(owner) {
            Ok(()) => {
                error.hint("its last accepted document is forgotten: no boot and no service applies it")
            }
            Err(why) => error.hint(format!("its last accepted document stays: {}", why.message)),
        },
    }
}

fn report(arguments: &Arguments, released: &Applied, held: Held) -> u8 {
    let plan = &released.planned.plan;
    let sources = Sources::default();
    let detail = Detail {
        commands: false,
        full: arguments.full,
    };
    // It was shown before the question.
    if !arguments.prompt.asks() {
        output::print_done(&output::shown(
            plan,
            &sources,
            Output::Text,
            detail,
            output::here(),
        ));
    }
    let facts = count(held.own, "fact");
    let with = match held.side_effects {
        0 => String::new(),
        number => format!(" and {number} that changed with them"),
    };
    let left = match plan.unrestored.len() {
        0 => String::new(),
        left => format!(" {}.", unrestored(left)),
    };
    let writes = count(released.done, "write");
    output::print_done(&format!(
        "Released: the owner {} held {facts}{with}; {writes} done.{left}\n",
        arguments.owner
    ));
    end_exit(released)
}
