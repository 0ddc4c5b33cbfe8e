//! `netkeel release`: restores everything that an owner holds.

use clap::Args;

use crate::arguments::{LockOptions, Output, Place};
use crate::change::apply::failed;
use crate::change::recover;
use crate::change::watcher::Watcher;
use crate::{exit, output};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::recorder::Recorder;
use netkeel_apply::engine::session::Session;
use netkeel_apply::recover::refuse_pending;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_core::error::Error;
use netkeel_diagnose::lint::plan;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::goal::{Goal, Release};
use netkeel_render::wording::count;
use netkeel_source::sources::Sources;

/// Restore the values that netkeel changed for an owner
///
/// netkeel also removes the objects that it created for the owner. A value that another program
/// changed since is left unchanged.
///
/// Exit status: 0 success; 1 error, nothing was written; 3 failed and rolled back; 4 failed and
/// rolling back failed too.
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
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    let actor = actor();
    let settled = if arguments.dry_run {
        refuse_pending(&store)?;
        None
    } else {
        Some(recover::settle(&store, &netns, &actor, arguments.lock.timeout)?)
    };
    let ledger = store.ledger()?;
    let goal = Release {
        ledger: &ledger,
        owner: &arguments.owner,
        netns: &netns,
    };
    let sources = Sources::default();
    let Some(settled) = settled else {
        let host = Live::with(&netns, |kernel| kernel.snapshot(&goal.scope()))??;
        match goal.plan(&host) {
            Ok(mut planned) => {
                plan::add(None, &mut planned, &host);
                output::plan(&planned.plan, &sources, Output::Text, true, output::here())?;
            }
            Err(diagnostics) => output::diagnostics(&diagnostics, &sources),
        }
        return Ok(exit::OK);
    };
    let mut watch = Watcher::new()?;
    let mut log = Recorder::new(&settled, netns.clone(), &arguments.owner, "release", &actor);
    log.compacts = ledger.wants_compacting();
    let lossy = arguments.allow_lossy;
    let outcome = Live::with(&netns, |kernel| {
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
    watch.clear();
    match outcome {
        Ok(released) => {
            output::plan(
                &released.planned.plan,
                &sources,
                Output::Text,
                false,
                output::here(),
            )?;
            let (facts, writes) = (
                count(released.planned.plan.released.len(), "fact"),
                count(released.done, "write"),
            );
            output::print(&format!(
                "Released: the owner {} held {facts}; {writes} done.\n",
                arguments.owner
            ))?;
            Ok(exit::OK)
        }
        Err(failure) => Ok(failed(failure, &sources)),
    }
}
