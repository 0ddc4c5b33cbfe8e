//! `netkeel release`: restores everything that an owner holds.

use clap::Args;

use crate::arguments::{FullOption, LockOptions, Output, Place};
use crate::change::apply::new_drift::end_exit;
use crate::change::failed::failed;
use crate::change::holds_nothing::holds_nothing;
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
use netkeel_diagnose::lint::plan;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::goal::{Goal, Release};
use netkeel_plan::outcome::{Applied, Failure};
use netkeel_render::wording::{count, unrestored};
use netkeel_source::sources::Sources;

/// Restore the values that netkeel changed for an owner
///
/// netkeel also removes the objects that it created for the owner. A value that another program
/// changed since is left unchanged.
///
/// `netkeel owners` lists the owners. Releasing an owner that holds nothing is an error.
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
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    if arguments.dry_run {
        refuse_pending(&store)?;
        return show(arguments, &store, &netns);
    }
    let watch = Watcher::new(Guard::of(arguments.allow_management, &netns))?;
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

/// Shows what would be restored.
fn show(arguments: &Arguments, store: &Store, netns: &Netns) -> Result<u8, Error> {
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
    let sources = Sources::default();
    let host = Live::with(netns, |kernel| kernel.snapshot(&goal.scope()))??;
    match goal.plan(&host) {
        Ok(mut planned) => {
            plan::add(None, &mut planned, &host);
            let detail = Detail {
                commands: true,
                full: arguments.full,
            };
            output::plan(&planned.plan, &sources, Output::Text, detail, output::here())?;
        }
        Err(diagnostics) => output::diagnostics(&diagnostics, &sources),
    }
    Ok(exit::OK)
}

fn release(
    arguments: &Arguments,
    store: &Store,
    netns: &Netns,
    mut watch: Watcher,
    way: &Way<'_>,
) -> Result<Result<(Applied, usize), Failure>, Error> {
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
    let log = Recorder::new(&settled, netns.clone(), &arguments.owner, "release", &actor);
    let mut log = log.work(Work::Release);
    log.compacts = ledger.wants_compacting();
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
    drop(log);
    // No boot brings back what was restored.
    if outcome.is_ok()
        && let Err(error) = store.forget_accepted(&arguments.owner)
    {
        said.add(&output::error_text(&error));
    }
    drop(settled);
    drop(said);
    watch.clear();
    let held = ledger.of(&arguments.owner).count();
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

fn report(arguments: &Arguments, released: &Applied, held: usize) -> u8 {
    let plan = &released.planned.plan;
    let sources = Sources::default();
    let detail = Detail {
        commands: false,
        full: arguments.full,
    };
    output::print_done(&output::shown(
        plan,
        &sources,
        Output::Text,
        detail,
        output::here(),
    ));
    let left = match plan.unrestored.len() {
        0 => String::new(),
        left => format!(" {}.", unrestored(left)),
    };
    let (facts, writes) = (count(held, "fact"), count(released.done, "write"));
    output::print_done(&format!(
        "Released: the owner {} held {facts}; {writes} done.{left}\n",
        arguments.owner
    ));
    end_exit(released)
}
