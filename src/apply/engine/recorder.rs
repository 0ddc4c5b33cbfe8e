//! The log of a real apply: journal, ledger and history in the store.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::session::Log;
use crate::journal::{Header, Work};
use crate::store::history::{Executed, HistoryEvent};
use crate::store::settled::Settled;
use crate::store::transaction::Transaction;
use crate::watchdog::arm;
use crate::{clock, journal, unique};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_plan::goal::undo::AppliedValues;
use netkeel_plan::ledger::Ledger;
use netkeel_plan::plan::{Plan, Step};

/// Writes down one apply.
#[derive(Debug)]
pub struct Recorder<'a> {
    settled: &'a Settled,
    header: Header,
    /// The ops that were begun.
    executed: Executed,
    transaction: Option<Transaction>,
    /// The apply is undone unless it is confirmed in this time.
    pub confirm_within: Option<Duration>,
    /// The ledger is written anew before anything is added to it.
    pub compacts: bool,
    /// The accepted document of the owner is forgotten: the host is no longer as it says.
    pub forgets: bool,
    /// The ledger before the apply, if `undo` is to be able to undo it.
    pub undoable: Option<&'a Ledger>,
}

impl<'a> Recorder<'a> {
    /// A recorder for an apply of a document.
    pub fn new(settled: &'a Settled, netns: Netns, owner: &str, document: &str, actor: &str) -> Self {
        let header = Header {
            format: journal::FORMAT,
            transaction: unique::name(),
            boot: settled.store().boot.clone(),
            netns,
            owner: owner.to_owned(),
            document: document.to_owned(),
            actor: actor.to_owned(),
            work: Work::Apply,
            confirm_by: None,
        };
        Recorder {
            settled,
            header,
            executed: Executed::default(),
            transaction: None,
            confirm_within: None,
            compacts: false,
            forgets: false,
            undoable: None,
        }
    }

    /// The id of the apply in the journal and the history.
    pub fn id(&self) -> &str {
        &self.header.transaction
    }

    /// Says that this is no apply of a document.
    #[must_use]
    pub fn work(mut self, work: Work) -> Self {
        self.header.work = work;
        self
    }

    fn note(&self, event: HistoryEvent, why: Option<&str>) -> Result<(), Error> {
        let store = self.settled.store();
        store.note(&self.header, event, why, self.executed.clone())
    }

    /// Nothing more is done once nobody can confirm it any more.
    fn in_time(&self) -> Result<(), Error> {
        match self.header.confirm_by() {
            Some(by) if by <= clock::since_boot() => Err(Error::new(
                ErrorKind::Refused,
                "the time to confirm was over before the apply was done",
            )
            .hint("give --confirm-within more time")),
            _ => Ok(()),
        }
    }
}

impl Log for Recorder<'_> {
    fn begin(&mut self, plan: &Plan) -> Result<(), Error> {
        let by = self.confirm_within.map(|within| clock::since_boot() + within);
        // Rounded up: a promise is never shorter than it was made.
        self.header.confirm_by = by.map(|by| by.as_nanos().div_ceil(1_000_000) as u64);
        let settled = self.settled;
        let begun = settled.begin(self.header.clone(), plan, self.compacts, |header, journal| {
            let directory = settled.lock().directory();
            by.map(|_| arm::begin(header, directory, journal)).transpose()
        });
        self.transaction = Some(begun?);
        Ok(())
    }

    fn add(&mut self, plan: &Plan) -> Result<(), Error> {
        self.transaction
            .as_mut()
            .map_or(Ok(()), |transaction| transaction.add(plan))
    }

    /// Until it is confirmed nothing of it may outlive the boot.
    fn keeps_back(&self, step: &Step) -> bool {
        self.confirm_within.is_some() && step.op.is_durable()
    }

    fn mark(&mut self, step: &Step) -> Result<(), Error> {
        self.in_time()?;
        if let Some(transaction) = &mut self.transaction {
            transaction.mark(step.op.is_durable())?;
        }
        self.executed.add(step);
        Ok(())
    }

    fn commit(&mut self, plans: &[&Plan], made: &BTreeMap<LinkName, DeviceId>) -> Result<(), Error> {
        if let Some(before) = self.undoable {
            let header = &self.header;
            let values = AppliedValues::new(&header.transaction, &header.owner, plans, before, made);
            // Without them the apply holds as well; `undo` then says that they are missing.
            let _ = self.settled.store().keep_values(&values);
        }
        if self.confirm_within.is_some() {
            self.in_time()?;
            // The journal stays: `confirm` commits it, or the watchdog undoes it.
            if let Some(transaction) = &mut self.transaction {
                transaction.complete(made)?;
            }
            let _ = self.note(HistoryEvent::Unconfirmed, None);
            return Ok(());
        }
        if let Some(transaction) = &self.transaction {
            let claims = plans.iter().flat_map(|plan| plan.claims());
            let claims = claims.map(|claim| claim.on_made(made));
            let released = plans.iter().flat_map(|plan| &plan.released);
            let commit = || transaction.commit(claims, released);
            match self.forgets {
                true => self
                    .settled
                    .store()
                    .forget_accepted_and(&self.header.owner, commit)?,
                false => commit()?,
            }
        }
        self.transaction = None;
        // A missing line in the history is no reason to undo an apply that holds.
        let _ = self.note(HistoryEvent::Applied, None);
        Ok(())
    }

    fn undoing(&mut self) -> Result<(), Error> {
        self.transaction.as_mut().map_or(Ok(()), Transaction::undoing)
    }

    fn undone(&mut self, _: &[&Plan], cause: &Error) -> Result<(), Error> {
        if let Some(transaction) = &self.transaction {
            transaction.undone()?;
        }
        self.transaction = None;
        self.note(HistoryEvent::RolledBack, Some(&cause.message))
    }

    fn remains(&mut self, _: &[&Plan], cause: &Error, left: usize) {
        let why = format!("{left} writes left: {}", cause.message);
        // The caller reports it in any case.
        let _ = self.note(HistoryEvent::NotRolledBack, Some(&why));
    }
}
