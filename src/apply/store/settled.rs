//! The gate that every write passes. Only two values permit a write, and both come from the lock:
//! [`Settled`] begins an apply and writes the ledger, [`Held`] ends the apply that is pending. A path that
//! forgets a pending journal does not compile.

use crate::journal::Journal;
use crate::store::Store;
use crate::store::lock::Lock;
use crate::store::pending::Pending;
use netkeel_core::error::Error;

/// The lock, and the knowledge that no apply is pending: a new one may begin.
#[derive(Debug)]
pub struct Settled {
    lock: Lock,
}

/// The lock, and the apply that is pending: it may be undone, finished or kept, and nothing else written.
#[derive(Debug)]
pub struct Held {
    lock: Lock,
    pending: Pending,
}

/// The result of looking with the lock.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one exists at a time")]
pub enum Gate {
    /// Nothing is pending.
    Settled(Settled),
    /// An apply is.
    Held(Held),
}

impl Lock {
    /// Looks for a pending apply.
    ///
    /// # Errors
    /// When a journal is there and cannot be read.
    pub fn look(self) -> Result<Gate, Error> {
        let pending = self.store().pending()?;
        Ok(match pending {
            None => {
                self.store().sweep_watchdogs();
                Gate::Settled(Settled { lock: self })
            }
            Some(pending) => Gate::Held(Held { lock: self, pending }),
        })
    }
}

impl Settled {
    /// Where it is all kept.
    pub fn store(&self) -> &Store {
        self.lock.store()
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }
}

impl Held {
    /// An apply whose journals were kept elsewhere than in the store.
    pub(crate) fn new(lock: Lock, pending: Pending) -> Self {
        Held { lock, pending }
    }

    /// Where it is all kept.
    pub fn store(&self) -> &Store {
        self.lock.store()
    }

    /// The apply.
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The journal that decides.
    pub fn journal(&self) -> Option<&Journal> {
        self.pending.journals().next()
    }

    /// Gives the lock back, to look again.
    pub(crate) fn into_lock(self) -> Lock {
        self.lock
    }
}
