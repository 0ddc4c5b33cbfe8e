//! An apply that is under way, was interrupted, or waits to be confirmed, as its journals have it.
//!
//! The live journal decides: it is written last, and to empty it is the commit. A durable journal of the
//! same boot without it belongs to an apply that did not begin or that was committed. After a reboot there
//! is no live journal. Then the file writes in the durable one are undone, unless the ledger says that the
//! apply was committed.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::since_boot;
use crate::journal::{Header, Journal};
use crate::store::{Store, log};
use netkeel_core::error::Error;

/// An apply that did not end.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// The journal of writes to the kernel, if they were in this boot.
    pub live: Option<Journal>,
    /// The journal of writes to files.
    pub(crate) durable: Option<Journal>,
}

impl Store {
    /// The apply that did not end, if there is one. Reads only.
    ///
    /// # Errors
    /// When a journal is there and cannot be read.
    pub fn pending(&self) -> Result<Option<Pending>, Error> {
        let read = |path: PathBuf| -> Result<Option<Journal>, Error> {
            match log::read(&path)? {
                Some(text) => Journal::read(&text).map_err(|error| error.context(path.display())),
                None => Ok(None),
            }
        };
        // A journal of another boot describes kernel state that is gone.
        let live = read(self.live_path())?.filter(|journal| journal.header.boot == self.boot);
        let durable = read(self.durable_path())?;
        Ok(match (live, durable) {
            (None, None) => None,
            (None, Some(durable)) if self.is_over(&durable)? => None,
            (live, durable) => Some(Pending { live, durable }),
        })
    }

    /// An apply without a live journal was committed, or it never began; or its live journal went
    /// with the boot, and then the ledger knows.
    fn is_over(&self, durable: &Journal) -> Result<bool, Error> {
        let header = &durable.header;
        Ok(header.boot == self.boot || self.ledger()?.holds_those_of(&header.transaction))
    }
}

impl Pending {
    /// The journals in the order of undoing: the live one first.
    pub fn journals(&self) -> impl Iterator<Item = &Journal> + Clone {
        self.live.iter().chain(&self.durable)
    }

    /// The header of the apply.
    pub fn header(&self) -> Option<&Header> {
        self.journals().next().map(|journal| &journal.header)
    }

    /// The name of the apply.
    pub fn transaction(&self) -> Option<&str> {
        self.header().map(|header| header.transaction.as_str())
    }

    /// Whether it was to be confirmed. Its document is rejected when it is undone.
    pub fn is_unconfirmed(&self) -> bool {
        self.header().is_some_and(|header| header.confirm_by.is_some())
    }

    /// The deadline of an apply that can be confirmed, in time since boot. After a reboot nobody waits, and
    /// an apply that was interrupted half-way cannot be confirmed.
    pub fn confirm_by(&self) -> Option<Duration> {
        self.live
            .as_ref()
            .filter(|journal| journal.complete && !journal.undoing)
            .and_then(|journal| journal.header.confirm_by())
    }

    /// How long it can still be confirmed; none when it cannot.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.confirm_by()?.checked_sub(since_boot())?;
        Some(left).filter(|left| !left.is_zero())
    }

    /// How long its undoing is overdue; none when it is not due.
    pub fn overdue(&self) -> Option<Duration> {
        let by = self.live.as_ref()?.header.confirm_by()?;
        since_boot().checked_sub(by)
    }
}
