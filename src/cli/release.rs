//! `netkeel release`: gives back what an owner holds.

use clap::Args;

use super::apply::failed;
use super::arguments::{LockOptions, Output, Place};
use super::watcher::Watcher;
use super::{exit, output, recover};
use crate::apply::{Session, apply};
use crate::error::Error;
use crate::kernel::{Kernel, Live};
use crate::lint;
use crate::plan::{Goal, Release};
use crate::recover::refuse_pending;
use crate::render::count;
use crate::source::Sources;
use crate::store::{Recorder, Store, actor};

/// Puts back every value that netkeel wrote for an owner, and removes what it made. A value that
/// somebody else has changed since stays as it is.
///
/// Exit status: 0; 1 when nothing could be done; 3 when it failed and all was undone; 4 when it
/// failed and undoing failed too.
#[derive(Debug, Args)]
pub struct Arguments {
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
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
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
                lint::plan::add(None, &mut planned, &host);
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
            output::plan(&released.planned.plan, &sources, Output::Text, false, output::here())?;
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
