//! One apply as it is kept on disk, and what is found of one that was interrupted.
//!
//! The live journal is the one that decides: it is written last, and to empty it is the commit. A
//! durable journal of the same boot without it belongs to an apply that did not begin or that was
//! committed. After a reboot there is no live journal, and what the durable one says about files is
//! undone, unless the ledger says that the apply was committed.

use std::fs::File;
use std::path::PathBuf;

use crate::journal;
use crate::journal::{Header, Journal};
use crate::store::{Store, log};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_plan::ledger;
use netkeel_plan::ledger::{Head, OwnershipRecord};
use netkeel_plan::plan::Plan;

/// An apply that is under way.
#[derive(Debug)]
pub struct Transaction {
    store: Store,
    header: Header,
    live: Steps,
    durable: Option<Steps>,
}

/// A journal that is open to be written.
#[derive(Debug)]
pub struct Steps {
    file: File,
    path: PathBuf,
    /// How many of its steps were marked.
    begun: usize,
}

impl Steps {
    fn new(file: File, path: PathBuf) -> Self {
        Steps { file, path, begun: 0 }
    }

    /// One that was left behind.
    fn resume(path: PathBuf, journal: &Journal) -> Result<Self, Error> {
        Ok(Steps {
            file: log::append_to(&path)?,
            begun: journal.begun,
            path,
        })
    }

    /// Writes a list of steps, after the header where the journal begins with them.
    fn list(&mut self, header: Option<&Header>, plan: &Plan, durable: bool) -> Result<(), Error> {
        let lines = journal::steps(plan, durable);
        log::write_lines(&mut self.file, header, &lines, durable, &self.path)
    }

    fn mark(&mut self, durable: bool) -> Result<(), Error> {
        let step = self.begun + 1;
        self.note(&journal::Line::Begun { step }, durable)?;
        self.begun = step;
        Ok(())
    }

    fn note(&mut self, line: &journal::Line, durable: bool) -> Result<(), Error> {
        log::write_json(&mut self.file, line, durable, &self.path)
    }
}

/// An apply that was interrupted.
#[derive(Debug)]
pub struct Pending {
    /// What was done to the kernel, when that was in this boot.
    pub live: Option<Journal>,
    /// What was done to files.
    pub(crate) durable: Option<Journal>,
}

impl Store {
    /// Begins an apply: from here on, whatever happens can be undone. The ledger is compacted here,
    /// where no journal is over because the ledger names its transaction. Whoever calls holds the lock, and
    /// with it made the directories.
    ///
    /// # Errors
    /// When the journal cannot be written; nothing has happened then.
    pub fn begin(&self, header: Header, plan: &Plan, compacts: bool) -> Result<Transaction, Error> {
        // Whatever is left here belongs to an apply that was resolved.
        log::remove(&self.durable_path())?;
        let live = log::begin(&self.live_path())?;
        if compacts {
            // A journal whose removal a power cut would take back must not outlive what says that
            // it is over.
            log::sync_directory(&self.durable_path())?;
            self.compact()?;
        }
        let mut transaction = Transaction {
            store: self.clone(),
            header,
            live: Steps::new(live, self.live_path()),
            durable: None,
        };
        // In this order: who finds the live one finds all that was to be done.
        transaction.list_durable(plan)?;
        let header = Some(&transaction.header);
        transaction.live.list(header, plan, false)?;
        Ok(transaction)
    }

    /// An apply that was interrupted, or that waits to be confirmed. Reads only.
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

    /// Goes on with an apply that was interrupted.
    ///
    /// # Errors
    /// When a journal cannot be written.
    pub fn resume(&self, pending: &Pending, live: &Journal) -> Result<Transaction, Error> {
        let durable = pending.durable.as_ref();
        Ok(Transaction {
            store: self.clone(),
            header: live.header.clone(),
            live: Steps::resume(self.live_path(), live)?,
            durable: durable
                .map(|journal| Steps::resume(self.durable_path(), journal))
                .transpose()?,
        })
    }

    /// Notes that an interrupted apply is about to be undone, so that nobody finishes it once some
    /// of it is.
    ///
    /// # Errors
    /// When the live journal cannot be written.
    pub fn undoing(&self, pending: &Pending) -> Result<(), Error> {
        match &pending.live {
            Some(live) if !live.undoing => {
                let path = self.live_path();
                let mut file = log::append_to(&path)?;
                log::write_json(&mut file, &journal::Line::Undoing {}, false, &path)
            }
            _ => Ok(()),
        }
    }

    /// Forgets an interrupted apply after it was undone: its claims never were.
    ///
    /// # Errors
    /// When the ledger or a journal cannot be written.
    pub fn undone(&self, transaction: &str) -> Result<(), Error> {
        self.make()?;
        if !log::is_empty(&self.ledger_path())? {
            let transaction = transaction.to_owned();
            self.add_to_ledger(&[ledger::Line::RolledBack { transaction }], true)?;
        }
        // In this order: without the live one the durable one would count as committed.
        log::remove(&self.durable_path())?;
        log::empty(&self.live_path())
    }

    /// Commits: the claims count, and there is nothing left to undo. Where no file was written, a
    /// power cut takes what was done with it, and may take the claims too.
    ///
    /// # Errors
    /// When the ledger or a journal cannot be written.
    pub fn commit<'a>(
        &self,
        transaction: &str,
        claims: impl Iterator<Item = OwnershipRecord>,
        released: impl Iterator<Item = &'a Fact>,
    ) -> Result<(), Error> {
        let durable = !log::is_empty(&self.durable_path())?;
        // A crash before the live journal is gone has the apply undone and these lines voided, whatever
        // else was not written.
        self.add_to_ledger(&ledger::commit(Some(transaction), claims, released), durable)?;
        log::empty(&self.live_path())?;
        // Here it is committed: what fails from now on must not undo it. A durable journal that
        // stays is one that is over, as long as the ledger names its transaction.
        let _ = log::remove(&self.durable_path());
        Ok(())
    }

    /// Appends lines to the ledger, and its first line where it has none.
    pub(crate) fn add_to_ledger(&self, lines: &[ledger::Line], durable: bool) -> Result<(), Error> {
        let path = self.ledger_path();
        let mut file = log::append_to(&path)?;
        let new = log::is_new(&file, &path)?;
        log::write_lines(&mut file, new.then_some(&Head::NEW), lines, false, &path)?;
        match durable {
            true => log::sync(&file, new, &path),
            false => Ok(()),
        }
    }

    fn compact(&self) -> Result<(), Error> {
        log::replace(&self.ledger_path(), &self.ledger()?.compact()?)
    }
}

impl Pending {
    /// The journals in the order of undoing: the live one first.
    pub fn journals(&self) -> impl Iterator<Item = &Journal> + Clone {
        self.live.iter().chain(&self.durable)
    }

    /// The name of the apply.
    pub fn transaction(&self) -> Option<&str> {
        self.journals()
            .next()
            .map(|journal| journal.header.transaction.as_str())
    }

    /// Until when it waits to be confirmed, in seconds since 1970. After a reboot nobody waits, and
    /// nothing that was interrupted half-way can be confirmed.
    pub fn confirm_by(&self) -> Option<u64> {
        self.live
            .as_ref()
            .filter(|journal| journal.complete && !journal.undoing)
            .and_then(|journal| journal.header.confirm_by)
    }
}

impl Transaction {
    /// Notes that the op of the next step is about to be executed: of the next one on files, or of the next
    /// other one.
    ///
    /// # Errors
    /// When the journal cannot be written, or has no such step: the op must not be executed then.
    pub fn mark(&mut self, durable: bool) -> Result<(), Error> {
        match (durable, &mut self.durable) {
            (true, Some(steps)) => steps.mark(true),
            (true, None) => {
                let message = "a file was to be written that is in no journal";
                Err(Error::new(ErrorKind::Refused, message))
            }
            (false, _) => self.live.mark(false),
        }
    }

    /// Notes that undoing begins.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn undoing(&mut self) -> Result<(), Error> {
        self.live.note(&journal::Line::Undoing {}, false)
    }

    /// Adds steps that became necessary after the others were done.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn add(&mut self, plan: &Plan) -> Result<(), Error> {
        self.list_durable(plan)?;
        self.live.list(None, plan, false)
    }

    /// Writes the steps on files down where they survive a power cut.
    fn list_durable(&mut self, plan: &Plan) -> Result<(), Error> {
        if !plan.steps.iter().any(|step| step.op.is_durable()) {
            return Ok(());
        }
        if let Some(steps) = &mut self.durable {
            return steps.list(None, plan, true);
        }
        let path = self.store.durable_path();
        let mut steps = Steps::new(log::begin(&path)?, path);
        steps.list(Some(&self.header), plan, true)?;
        log::sync_directory(&steps.path)?;
        self.durable = Some(steps);
        Ok(())
    }

    /// Everything is done and holds; `confirm` is what is missing.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn complete(&mut self) -> Result<(), Error> {
        self.live.note(&journal::Line::Complete {}, false)
    }

    /// The apply is done.
    ///
    /// # Errors
    /// When the ledger or a journal cannot be written.
    pub fn commit<'a>(
        &self,
        claims: impl Iterator<Item = OwnershipRecord>,
        released: impl Iterator<Item = &'a Fact>,
    ) -> Result<(), Error> {
        self.store.commit(&self.header.transaction, claims, released)
    }

    /// The apply was undone.
    ///
    /// # Errors
    /// When the ledger or a journal cannot be written.
    pub fn undone(&self) -> Result<(), Error> {
        self.store.undone(&self.header.transaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use netkeel_core::fact::{Field, Object};
    use netkeel_core::name::netns::Netns;
    use netkeel_core::op::{Op, Phase};
    use netkeel_plan::plan::{Step, Undo};

    /// A plan that removes a file, or one that does nothing.
    fn plan(path: Option<&str>) -> Plan {
        let step = |path: &str| {
            let path: std::sync::Arc<Path> = Path::new(path).into();
            Step {
                changes: Vec::new(),
                op: Op::RemoveFile { path: path.clone() },
                phase: Phase::LowerLinks,
                fact: Fact {
                    netns: Netns::CURRENT,
                    object: Object::File(path),
                    field: Field::Content,
                },
                restores: false,
                named: true,
                undo: Undo::default(),
                permitted: false,
            }
        };
        Plan {
            owner: "default".into(),
            netns: Netns::CURRENT,
            wanted: 1,
            drift: Vec::new(),
            steps: path.into_iter().map(step).collect(),
            beside: Vec::new(),
            released: Vec::new(),
            findings: Vec::new(),
            unmatched: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_second_pass_journals_its_files_where_the_first_had_some_and_where_not() {
        for first in [None, Some("/etc/a")] {
            let scratch = tempfile::tempdir().unwrap();
            let store = Store {
                run: scratch.path().into(),
                state: scratch.path().into(),
                boot: "b1".into(),
            };
            let header = Header {
                format: journal::FORMAT,
                transaction: "t1".into(),
                boot: "b1".into(),
                netns: Netns::CURRENT,
                owner: "default".into(),
                document: "d1".into(),
                actor: "root".into(),
                confirm_by: None,
            };
            let mut transaction = store.begin(header, &plan(first), false).unwrap();
            match first {
                Some(_) => transaction.mark(true).unwrap(),
                None => assert!(transaction.mark(true).is_err(), "it is in no journal"),
            }
            transaction.add(&plan(Some("/etc/b"))).unwrap();
            transaction.mark(true).unwrap();
            let durable = store.pending().unwrap().unwrap().durable.unwrap();
            let steps = 1 + usize::from(first.is_some());
            assert_eq!((durable.begun, durable.entries.len()), (steps, steps));
            transaction.undone().unwrap();
            assert!(store.pending().unwrap().is_none());
        }
    }
}
