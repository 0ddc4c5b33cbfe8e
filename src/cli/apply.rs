//! `netkeel apply`: plan, execute, look again; all or nothing.

use std::io::{self, IsTerminal};

use clap::Args;

use super::arguments::{Documents, LockOptions, Output, Ownership};
use super::load::{Loaded, load};
use super::{exit, output, recover};
use crate::apply::{Applied, Failure, Rollback, Session, apply};
use crate::error::Error;
use crate::kernel::Live;
use crate::plan::Declared;
use crate::render::{count, json};
use crate::source::Sources;
use crate::store::{Recorder, Store, actor};

/// Makes the host as the document says, or leaves it as it was.
///
/// An op that fails stops it, and what was done is undone in reverse. After writing it looks
/// again, and fails when a fact is not as it was written.
///
/// Exit status: 0; with --detailed-exitcode 2 when something was changed; 1 when nothing could be
/// done; 3 when it failed and all was undone; 4 when it failed and undoing failed too.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    documents: Documents,
    #[command(flatten)]
    lock: LockOptions,
    /// Allow what cannot be undone exactly: IPv6 addresses lost below 1280, a device made again.
    #[arg(long)]
    allow_lossy: bool,
    #[command(flatten)]
    ownership: Ownership,
    /// How to show what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Exit with 2 when something was changed.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.documents.place.netns();
    let Some(Loaded { document, sources }) = load(&arguments.documents, netns)? else {
        return Ok(exit::ERROR);
    };
    let store = Store::open(&document.netns)?;
    let actor = actor();
    let _lock = store.lock(&actor, arguments.lock.timeout)?;
    recover::undo_pending(&store, &document.netns)?;
    let ledger = store.ledger()?;
    let goal = Declared {
        document: &document,
        holdings: arguments.ownership.holdings(&ledger),
    };
    let mut bar = Progress::new();
    let mut log = Recorder::new(
        store,
        document.netns.clone(),
        &document.owner,
        &document.hash,
        &actor,
    );
    let lossy = arguments.allow_lossy;
    let outcome = Live::with(&document.netns, |kernel| {
        let progress = &mut |done, all| bar.show(done, all);
        let log = &mut log;
        apply(
            &goal,
            Session {
                kernel,
                log,
                lossy,
                progress,
            },
        )
    })?;
    bar.clear();
    match outcome {
        Ok(applied) => report(&applied, &sources, arguments),
        Err(failure) => Ok(failed(failure, &sources)),
    }
}

fn report(applied: &Applied, sources: &Sources, arguments: &Arguments) -> Result<u8, Error> {
    if arguments.output == Output::Json {
        output::print(&output::pretty(&json::applied(applied, sources)))?;
    } else {
        output::plan(&applied.plan, sources, arguments.output, false)?;
        if arguments.output == Output::Text && applied.done > 0 {
            output::print(&format!(
                "Applied: {}; looked again and found nothing left.\n",
                count(applied.done, "write")
            ))?;
        }
    }
    for name in &applied.vanished {
        output::say(&format!("{name} went away meanwhile\n"));
    }
    Ok(if arguments.detailed_exitcode && applied.done > 0 {
        exit::CHANGES
    } else {
        exit::OK
    })
}

pub(super) fn failed(failure: Failure, sources: &Sources) -> u8 {
    match failure {
        Failure::Invalid(diagnostics) => output::diagnostics(&diagnostics, sources),
        Failure::Unread(problems) => output::problems(&problems),
        Failure::NotBegun(error) => output::error(&error),
        Failure::Lossy(plan) => {
            let mut error = Error::new(
                crate::error::ErrorKind::Refused,
                "the plan loses what an undo cannot bring back, so nothing was written",
            );
            for step in plan.lossy() {
                error = error.hint(format!("`{}` loses {}", step.op, step.undo.loses.join("; ")));
            }
            output::error(&error.hint("--allow-lossy permits it"));
        }
        Failure::Failed(rollback) => return rolled_back(&rollback),
    }
    exit::ERROR
}

fn rolled_back(rollback: &Rollback) -> u8 {
    let Rollback {
        cause,
        undone,
        remaining,
        lost,
    } = rollback;
    output::error(cause);
    let undone = count(undone.len(), "write");
    output::say(&match remaining.len() {
        0 if rollback.undone.is_empty() => "nothing had been written: the host is as it was\n".to_owned(),
        0 => format!("rolled back: {undone} undone, the host is as it was\n"),
        left => format!(
            "NOT rolled back: {undone} undone, {} left. These commands remain:\n",
            count(left, "write")
        ),
    });
    for (op, error) in remaining {
        output::say(&format!("  {op}    # failed: {error}\n"));
    }
    for lost in lost {
        output::say(&format!("  not brought back: {lost}\n"));
    }
    if remaining.is_empty() {
        exit::ROLLED_BACK
    } else {
        exit::NOT_ROLLED_BACK
    }
}

/// A line that counts, on a terminal, when there is much to do.
pub(super) struct Progress {
    wanted: bool,
    shown: bool,
}

impl Progress {
    /// Fewer ops than this are done before anybody could read the line.
    const MANY: usize = 200;

    pub(super) fn new() -> Self {
        Progress {
            wanted: io::stderr().is_terminal(),
            shown: false,
        }
    }

    pub(super) fn show(&mut self, done: usize, all: usize) {
        if self.wanted && all >= Progress::MANY && (done.is_multiple_of(50) || done == all) {
            self.shown = true;
            output::say(&format!("\rapplying {done}/{all}"));
        }
    }

    pub(super) fn clear(&self) {
        if self.shown {
            output::say("\r\u{1b}[K");
        }
    }
}
