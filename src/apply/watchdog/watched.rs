//! An apply as its watchdog sees it: whether it is over, and how to undo it whatever became of the store.

use std::fs::File;
use std::time::Duration;

use crate::clock::since_boot;
use crate::engine::apply::undo;
use crate::journal::{Journal, header};
use crate::recover::{Cause, Undone, record, undo_held};
use crate::store::Store;
use crate::store::lock::Lock;
use crate::store::pending::Pending;
use crate::store::settled::Held;
use crate::watchdog::handover::{Received, text};
use crate::watchdog::over::{Seen, is_over};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::process::Process;

/// How long past the deadline an apply may live while the lock is held. It has ended or undone itself by
/// then, unless it hangs or was stopped; then it is killed.
const HANGS: Duration = Duration::from_secs(5);

/// An apply.
pub(crate) struct Watched {
    pub(crate) store: Store,
    pub(crate) netns: Netns,
    pub(crate) transaction: String,
    /// The open files of the apply; `None` for a watchdog that replaces a killed one.
    pub(crate) received: Option<Received>,
    /// Its first line was seen.
    begun: bool,
    /// The undone and the remaining ops; `None` before the first attempt.
    tried: Option<Tried>,
}

struct Tried {
    undone: Vec<Op>,
    remaining: Vec<Op>,
}

/// The result of an attempt.
pub(crate) enum Attempt {
    /// There is nothing left to do.
    Over,
    /// It was undone now, whole or not.
    Undone(Undone),
    /// Ops of an earlier attempt still remain; try again.
    Again,
}

impl Watched {
    pub(crate) fn new(store: Store, netns: Netns, transaction: String, received: Option<Received>) -> Self {
        Watched {
            store,
            netns,
            transaction,
            received,
            begun: false,
            tried: None,
        }
    }

    /// Whether it was confirmed or undone, or never wrote anything. An unreadable journal is not over.
    pub(crate) fn is_over(&mut self) -> bool {
        let Some(received) = &self.received else {
            let pending = self.store.pending();
            return pending.is_ok_and(|pending| !self.is_of(pending.as_ref()));
        };
        is_over(
            &Looks {
                received,
                transaction: &self.transaction,
            },
            &mut self.begun,
        )
    }

    fn is_of(&self, pending: Option<&Pending>) -> bool {
        pending.is_some_and(|pending| pending.transaction() == Some(&self.transaction))
    }

    /// The journals as they are in memory.
    fn copy(&self) -> Pending {
        let Some(received) = &self.received else {
            return Pending::default();
        };
        let read = |file: &File| Journal::read(&text(file).ok()?).ok()?;
        Pending {
            live: read(&received.live),
            durable: read(&received.files),
        }
    }

    /// The journals to undo: of each journal the copy that has more begun steps.
    fn pending(&self) -> Result<Option<Pending>, Error> {
        let stored = self.store.pending();
        let mut copy = self.copy();
        let stored = match stored {
            Ok(stored) => stored.filter(|stored| self.is_of(Some(stored))),
            Err(error) if copy.live.is_none() => return Err(error),
            Err(_) => None,
        };
        match stored {
            Some(stored) => {
                let more = |mine: Option<Journal>, its: Option<Journal>| match (mine, its) {
                    (Some(mine), Some(its)) if mine.begun > its.begun => Some(mine),
                    (mine, its) => its.or(mine),
                };
                Ok(Some(Pending {
                    live: more(copy.live, stored.live),
                    durable: more(copy.durable, stored.durable),
                }))
            }
            None => {
                // Somebody may have been killed while confirming it: any of the files may be written.
                if let Some(durable) = &mut copy.durable
                    && copy.live.as_ref().is_some_and(|live| live.complete)
                {
                    durable.begun = durable.entries.len();
                }
                Ok(Some(copy).filter(|copy| copy.live.is_some()))
            }
        }
    }

    /// The lock, as far as there is one. An apply that hangs with the lock is killed.
    fn lock(&self, actor: &str, due: Duration) -> Result<(Lock, Option<Lock>), Error> {
        let busy = || Error::new(ErrorKind::Refused, "another netkeel is at work here");
        let Some(received) = &self.received else {
            return Ok((self.store.lock(actor, Duration::ZERO)?, None));
        };
        let Some(handed) = Lock::adopt(&self.store, &received.directory)? else {
            // All that it has left to do is to tell how it ended.
            let late = since_boot().saturating_sub(due) > HANGS;
            if let (true, Some(process)) = (late, &received.process) {
                // It may have ended by itself.
                let _ = process.kill();
            }
            return Err(busy());
        };
        if handed.is_current() {
            return Ok((handed, None));
        }
        // The directory was replaced: those that came since lock the new one. Where it is no directory to
        // work in, nobody else can work there either.
        match self.store.try_now(actor) {
            Ok(Some(lock)) => Ok((lock, Some(handed))),
            Ok(None) => Err(busy()),
            Err(_) => Ok((handed, None)),
        }
    }

    /// Undoes it, or what remains of it; then writes that down. `due` is when that was due, in time since
    /// boot.
    ///
    /// # Errors
    /// When it is to be tried again: the lock is held, or the journal cannot be read.
    pub(crate) fn attempt(&mut self, actor: &str, cause: Cause, due: Duration) -> Result<Attempt, Error> {
        let (lock, _handed) = self.lock(actor, due)?;
        if self.is_over() {
            return Ok(Attempt::Over);
        }
        let Some(pending) = self.pending()? else {
            return Ok(Attempt::Over);
        };
        let held = Held::new(lock, pending);
        let Some(tried) = &mut self.tried else {
            let undone = undo_held(&held, &self.netns, cause)?;
            self.tried = Some(Tried {
                undone: Vec::new(),
                remaining: undone.remaining.iter().map(|(op, _)| op.clone()).collect(),
            });
            return Ok(Attempt::Undone(undone));
        };
        if !tried.remaining.is_empty() {
            let left = std::mem::take(&mut tried.remaining);
            let steps = left.iter().map(std::slice::from_ref);
            let outcome = Live::with(&self.netns, |kernel| undo(kernel, steps));
            match outcome {
                Ok((undone, remaining)) => {
                    tried.undone.extend(undone);
                    tried.remaining = remaining.into_iter().map(|(op, _)| op).collect();
                }
                Err(error) => {
                    tried.remaining = left;
                    return Err(error);
                }
            }
        }
        if tried.remaining.is_empty() {
            record(&held, &tried.undone, cause)?;
            return Ok(Attempt::Over);
        }
        Ok(Attempt::Again)
    }
}

/// Looks at an apply by its open files.
struct Looks<'a> {
    received: &'a Received,
    transaction: &'a str,
}

impl Seen for Looks<'_> {
    fn has_died(&self) -> bool {
        let process = self.received.process.as_ref();
        process.is_some_and(Process::has_ended)
    }

    fn length(&self) -> Option<u64> {
        length(&self.received.live)
    }

    fn may_have_written(&self) -> bool {
        let files = [&self.received.live, &self.received.files];
        files
            .into_iter()
            .any(|file| match text(file).map(|text| Journal::read(&text)) {
                Ok(Ok(journal)) => journal.is_some_and(|journal| journal.begun > 0 || journal.complete),
                Ok(Err(_)) | Err(_) => true,
            })
    }

    /// By the open file: to empty it is the commit, and to delete or replace it is not. A later apply writes
    /// its own header into it.
    fn is_settled(&self) -> bool {
        let journal = &self.received.journal;
        length(journal) == Some(0)
            || text(journal).is_ok_and(|text| {
                let first = text.split_once('\n').map(|(first, _)| header(first));
                matches!(first, Some(Ok(other)) if other.transaction != self.transaction)
            })
    }
}

fn length(file: &File) -> Option<u64> {
    file.metadata().map(|found| found.len()).ok()
}
