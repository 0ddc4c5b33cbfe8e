//! `netkeel release`: gives back what an owner holds.

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

/// Puts back every value that netkeel wrote for an owner, and removes what it made. A value that
/// somebody else has changed since stays as it is.
///
/// Exit status: 0; 1 when nothing could be done; 3 when it failed and all was undone; 4 when it
/// failed and undoing failed too.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
    /// Whose.
    #[arg(long, default_value = "default")]
    owner: String,
    /// Show what would be given back, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Allow what cannot be undone exactly.
    #[arg(long)]
    allow_lossy: bool,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    let actor = actor();
    let _lock = if arguments.dry_run {
        refuse_pending(&store)?;
        None
    } else {
        let lock = store.lock(&actor, arguments.lock.timeout)?;
        recover::settle(&store, &netns)?;
        Some(lock)
    };
    let ledger = store.ledger()?;
    let goal = Release {
        ledger: &ledger,
        owner: &arguments.owner,
        netns: &netns,
    };
    let sources = Sources::default();
    if arguments.dry_run {
        let host = Live::with(&netns, |kernel| kernel.snapshot(&goal.scope()))??;
        match goal.plan(&host) {
            Ok(mut planned) => {
                plan::add(None, &mut planned, &host);
                output::plan(&planned.plan, &sources, Output::Text, true, output::here())?;
            }
            Err(diagnostics) => output::diagnostics(&diagnostics, &sources),
        }
        return Ok(exit::OK);
    }
    let mut watch = Watcher::new()?;
    let mut log = Recorder::new(store, netns.clone(), &arguments.owner, "release", &actor);
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
