//! One apply as it is kept on disk, from its first line to its commit.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::journal;
use crate::journal::{Header, Journal};
use crate::store::error::failed;
use crate::store::lock::same_file;
use crate::store::settled::{Held, Settled};
use crate::store::{Store, log};
use crate::unique;
use crate::watchdog::copies::Copies;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
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
    /// Where the watchdog reads the steps on files.
    copy_of_files: Option<File>,
}

/// A journal that is open to be written.
#[derive(Debug)]
pub(crate) struct Steps {
    file: File,
    path: PathBuf,
    /// How many of its steps were marked.
    begun: usize,
    /// Where the watchdog reads the same lines, whatever becomes of the file. Each is written there first:
    /// a step that is marked there and was not done is undone without effect.
    copy: Option<File>,
}

impl Steps {
    fn new(file: File, path: PathBuf, copy: Option<File>) -> Self {
        Steps {
            file,
            path,
            begun: 0,
            copy,
        }
    }

    /// One that was left behind. The state directory may have been replaced since it was read.
    fn resume(path: PathBuf, journal: &Journal) -> Result<Self, Error> {
        let is_it = |first: &str| match journal::header(first) {
            Ok(header) if header.transaction == journal.header.transaction => Ok(()),
            Ok(_) => Err(replaced(&path)),
            Err(error) => Err(error.context(path.display())),
        };
        Ok(Steps {
            file: log::go_on(&path, is_it)?,
            begun: journal.begun,
            path,
            copy: None,
        })
    }

    /// Whether its path still leads to it.
    fn is_in_place(&self) -> bool {
        same_file(&self.file, &self.path)
    }

    /// Takes everything out of it.
    fn empty(&self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| failed(&error, &self.path))
    }

    /// Writes a list of steps, after the header where the journal begins with them.
    fn list(&mut self, header: Option<&Header>, plan: &Plan, durable: bool) -> Result<(), Error> {
        let lines = journal::steps(plan, durable);
        if let Some(copy) = &mut self.copy {
            log::write_lines(copy, header, &lines, false, &self.path)?;
        }
        log::write_lines(&mut self.file, header, &lines, durable, &self.path)
    }

    fn mark(&mut self, durable: bool) -> Result<(), Error> {
        let step = self.begun + 1;
        self.note(&journal::Line::Begun { step }, durable)?;
        self.begun = step;
        Ok(())
    }

    fn note(&mut self, line: &journal::Line, durable: bool) -> Result<(), Error> {
        if let Some(copy) = &mut self.copy {
            log::write_json(copy, line, false, &self.path)?;
        }
        log::write_json(&mut self.file, line, durable, &self.path)
    }
}

impl Settled {
    /// Begins an apply: from here on, whatever happens can be undone. The ledger is compacted here,
    /// where no journal is over because the ledger names its transaction. For an apply that is to be
    /// confirmed, `arm` starts the watchdog; it gets the open journal.
    ///
    /// # Errors
    /// When the journal cannot be written or the watchdog not started; nothing has happened then.
    pub(crate) fn begin(
        &self,
        header: Header,
        plan: &Plan,
        compacts: bool,
        arm: impl FnOnce(&Header, &File) -> Result<Option<Copies>, Error>,
    ) -> Result<Transaction, Error> {
        let store = self.store();
        // A file here belongs to an apply that was resolved.
        log::remove(&store.durable_path())?;
        let live = log::begin(&store.live_path())?;
        if compacts {
            // A journal whose removal a power cut would take back must not outlive what says that
            // it is over.
            log::sync_directory(&store.durable_path())?;
            store.compact()?;
        }
        // Before the first line: whatever happens from here on, somebody undoes it.
        let (copy, copy_of_files) = match arm(&header, &live)? {
            Some(Copies { live, files }) => (Some(live), Some(files)),
            None => (None, None),
        };
        let mut transaction = Transaction {
            store: store.clone(),
            header,
            live: Steps::new(live, store.live_path(), copy),
            durable: None,
            copy_of_files,
        };
        // In this order: who finds the live one finds all that was to be done.
        transaction.list_durable(plan)?;
        let header = Some(&transaction.header);
        transaction.live.list(header, plan, false)?;
        Ok(transaction)
    }
}

impl Held {
    /// Goes on with the apply.
    ///
    /// # Errors
    /// When a journal cannot be written, or was lost with the boot.
    pub(crate) fn resume(&self) -> Result<Transaction, Error> {
        let (store, pending) = (self.store(), self.pending());
        let lost = || Error::new(ErrorKind::Refused, "the live journal was lost with the boot");
        let live = pending.live.as_ref().ok_or_else(lost)?;
        let durable = pending.durable.as_ref();
        Ok(Transaction {
            store: store.clone(),
            header: live.header.clone(),
            live: Steps::resume(store.live_path(), live)?,
            durable: durable
                .map(|journal| Steps::resume(store.durable_path(), journal))
                .transpose()?,
            copy_of_files: None,
        })
    }

    /// Notes that the apply is about to be undone: from then on nobody can finish it.
    ///
    /// # Errors
    /// When the live journal cannot be written.
    pub(crate) fn undoing(&self) -> Result<(), Error> {
        match &self.pending().live {
            Some(live) if !live.undoing => {
                let mut steps = Steps::resume(self.store().live_path(), live)?;
                steps.note(&journal::Line::Undoing {}, false)
            }
            _ => Ok(()),
        }
    }

    /// Forgets the apply after it was undone: its claims never were.
    ///
    /// # Errors
    /// When the ledger or a journal cannot be written.
    pub(crate) fn undone(&self, transaction: &str) -> Result<(), Error> {
        let store = self.store();
        store.make()?;
        // Where the store was cleared meanwhile, another apply may have begun: its journals are not these.
        let others = [store.durable_path(), store.live_path()].into_iter().any(|path| {
            let text = log::read(&path).ok().flatten().unwrap_or_default();
            let first = text.split_once('\n').map(|(first, _)| journal::header(first));
            matches!(first, Some(Ok(header)) if header.transaction != transaction)
        });
        if others {
            Ok(())
        } else {
            undone(store, transaction)
        }
    }
}

/// Forgets an apply after it was undone: its claims never were.
fn undone(store: &Store, transaction: &str) -> Result<(), Error> {
    if !log::is_empty(&store.ledger_path())? {
        let transaction = transaction.to_owned();
        store.add_to_ledger(&[ledger::Line::RolledBack { transaction }], true)?;
    }
    // In this order: without the live one the durable one would count as committed.
    log::remove(&store.durable_path())?;
    log::empty(&store.live_path())
}

/// The error of a journal that is not where it was.
fn replaced(path: &Path) -> Error {
    let message = format!(
        "the state directory was replaced: {} is not the journal of this apply",
        path.display()
    );
    Error::new(ErrorKind::Refused, message)
}

impl Store {
    /// Appends lines to the ledger, and its first line if it is new.
    pub(in crate::store) fn add_to_ledger(&self, lines: &[ledger::Line], durable: bool) -> Result<(), Error> {
        let path = self.ledger_path();
        let mut file = log::append_to(&path)?;
        let new = log::is_new(&file, &path)?;
        let head = new.then(|| Head::new(unique::name()));
        log::write_lines(&mut file, head.as_ref(), lines, false, &path)?;
        match durable {
            true => log::sync(&file, new, &path),
            false => Ok(()),
        }
    }

    fn compact(&self) -> Result<(), Error> {
        log::replace(&self.ledger_path(), &self.ledger()?.compact(unique::name())?)
    }
}

impl Transaction {
    /// Notes that the op of the next step is about to be executed: of the next one on files, or of the next
    /// other one.
    ///
    /// # Errors
    /// When the journal cannot be written, or has no such step: the op must not be executed then.
    pub(crate) fn mark(&mut self, durable: bool) -> Result<(), Error> {
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
    pub(crate) fn undoing(&mut self) -> Result<(), Error> {
        self.live.note(&journal::Line::Undoing {}, false)
    }

    /// Adds steps that became necessary after the others were done.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(crate) fn add(&mut self, plan: &Plan) -> Result<(), Error> {
        self.list_durable(plan)?;
        self.live.list(None, plan, false)
    }

    /// Writes the steps on files down where they survive a power cut.
    fn list_durable(&mut self, plan: &Plan) -> Result<(), Error> {
        // Without confirmation its document must not be applied again after a power cut: the header says so.
        let unconfirmed = self.header.confirm_by.is_some() && self.durable.is_none();
        if !unconfirmed && !plan.steps.iter().any(|step| step.op.is_durable()) {
            return Ok(());
        }
        if let Some(steps) = &mut self.durable {
            return steps.list(None, plan, true);
        }
        let path = self.store.durable_path();
        let mut steps = Steps::new(log::begin(&path)?, path, self.copy_of_files.take());
        steps.list(Some(&self.header), plan, true)?;
        log::sync_directory(&steps.path)?;
        self.durable = Some(steps);
        Ok(())
    }

    /// Everything is done and holds; `confirm` is what is missing.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(crate) fn complete(&mut self, made: &BTreeMap<LinkName, DeviceId>) -> Result<(), Error> {
        let made = made.clone();
        self.live.note(&journal::Line::Complete { made }, false)
    }

    /// Commits: the claims count, and there is nothing left to undo. Where no file was written, a power cut
    /// takes what was done with it, and may take the claims too.
    ///
    /// The journal is emptied by its descriptor, which its watchdog has too: in another state directory, put in the place
    /// of this one, the commit would not be seen by it.
    ///
    /// # Errors
    /// When the ledger or a journal cannot be written, or the state directory was replaced.
    pub(crate) fn commit<'a>(
        &self,
        claims: impl Iterator<Item = OwnershipRecord>,
        released: impl Iterator<Item = &'a Fact>,
    ) -> Result<(), Error> {
        let store = &self.store;
        let durable = !log::is_empty(&store.durable_path())?;
        // A crash before the live journal is empty has the apply undone and these lines voided, whatever
        // else was not written.
        let lines = ledger::commit(
            Some(&self.header.transaction),
            Some(clock::now()),
            claims,
            released,
        );
        store.add_to_ledger(&lines, durable)?;
        let journals = [Some(&self.live), self.durable.as_ref()];
        if let Some(lost) = journals.into_iter().flatten().find(|steps| !steps.is_in_place()) {
            return Err(replaced(&lost.path));
        }
        self.live.empty()?;
        // Here it is committed: what fails from now on must not undo it. A durable journal that
        // stays is one that is over, as long as the ledger names its transaction.
        let _ = log::remove(&store.durable_path());
        Ok(())
    }

    /// The apply was undone.
    ///
    /// # Errors
    /// When the ledger or a journal cannot be written.
    pub(crate) fn undone(&self) -> Result<(), Error> {
        undone(&self.store, &self.header.transaction)?;
        // An empty copy tells the watchdog that there is nothing left to do.
        if let Some(copy) = &self.live.copy {
            let _ = copy.set_len(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::store::settled::Gate;
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
            wanted: 1,
            steps: path.into_iter().map(step).collect(),
            ..Plan::empty("default", Netns::CURRENT)
        }
    }

    fn settled(store: &Store) -> Settled {
        match store.lock("a test", Duration::ZERO).unwrap().look().unwrap() {
            Gate::Settled(settled) => settled,
            Gate::Held(held) => panic!("{held:?}"),
        }
    }

    fn header() -> Header {
        Header {
            format: journal::FORMAT,
            transaction: "t1".into(),
            boot: "b1".into(),
            netns: Netns::CURRENT,
            owner: "default".into(),
            document: "d1".into(),
            actor: "root".into(),
            work: crate::journal::Work::Apply,
            confirm_by: None,
        }
    }

    /// The watchdog has the journal open, and undoes the apply as long as that is not empty.
    #[test]
    fn a_commit_into_another_state_directory_is_none() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        let settled = settled(&store);
        let begin = || {
            settled
                .begin(header(), &plan(None), false, |_, _| Ok(None))
                .unwrap()
        };
        let commit = |transaction: &Transaction| transaction.commit(std::iter::empty(), std::iter::empty());
        let transaction = begin();
        let (run, away) = (scratch.path().join("run"), scratch.path().join("away"));
        for makes in [false, true] {
            std::fs::rename(&run, &away).unwrap();
            if makes {
                std::fs::create_dir(&run).unwrap();
            }
            assert!(commit(&transaction).is_err(), "another directory: {makes}");
            assert!(transaction.live.file.metadata().unwrap().len() > 0);
            if makes {
                std::fs::remove_dir_all(&run).unwrap();
            }
            std::fs::rename(&away, &run).unwrap();
        }
        let pending = store.pending().unwrap().unwrap();
        let live = pending.live.unwrap();
        std::fs::rename(&run, &away).unwrap();
        assert!(Steps::resume(store.live_path(), &live).is_err(), "none is made");
        assert!(!run.exists());
        // What looks like one torn line is not cut: an empty journal is a commit.
        std::fs::create_dir(&run).unwrap();
        std::fs::write(store.live_path(), [0; 100]).unwrap();
        assert!(Steps::resume(store.live_path(), &live).is_err());
        assert_eq!(std::fs::metadata(store.live_path()).unwrap().len(), 100);
        std::fs::remove_dir_all(&run).unwrap();
        std::fs::rename(&away, &run).unwrap();
        commit(&transaction).unwrap();
        assert!(store.pending().unwrap().is_none());
        begin();
        let mut live = store.pending().unwrap().unwrap().live.unwrap();
        live.header.transaction = "t2".into();
        let refused = Steps::resume(store.live_path(), &live).unwrap_err();
        assert!(refused.message.contains("was replaced"), "{refused:?}");
    }

    #[test]
    fn a_second_pass_journals_its_files_where_the_first_had_some_and_where_not() {
        for first in [None, Some("/etc/a")] {
            let scratch = tempfile::tempdir().unwrap();
            let store = Store::at(scratch.path());
            let settled = settled(&store);
            let mut transaction = settled
                .begin(header(), &plan(first), false, |_, _| Ok(None))
                .unwrap();
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
