//! The ledger as a service holds it: read once, and then what was added since.

use crate::store::settled::Settled;
use crate::store::{Store, log};
use netkeel_core::error::Error;
use netkeel_core::fact::Fact;
use netkeel_plan::ledger;
use netkeel_plan::ledger::Ledger;

/// A ledger that is read on.
#[derive(Debug, Default)]
pub struct LedgerFile {
    ledger: Ledger,
    /// Which file, and how much of it was read.
    at: Option<(u64, u64)>,
}

impl LedgerFile {
    /// The ledger as it is now. The caller holds the lock.
    ///
    /// # Errors
    /// When the ledger is there and cannot be read.
    pub fn now(&mut self, store: &Store) -> Result<&Ledger, Error> {
        let path = store.ledger_path();
        if self.at.is_some() && log::extent(&path)? == self.at {
            return Ok(&self.ledger);
        }
        let offset = self.at.map_or(0, |(_, offset)| offset);
        let more = log::read_from(&path, offset)?;
        let read_on = match (&more, self.at) {
            // Where nothing was there to read, the first line is not read yet.
            (Some((inode, text)), Some((known, _))) if *inode == known && offset > 0 => {
                // A log only grows by whole lines; one that was torn was cut off since.
                text.is_empty() || (text.ends_with('\n') && self.ledger.append(text)?)
            }
            (None, None) => true,
            _ => false,
        };
        if read_on {
            let grown = more.map_or(0, |(_, text)| text.len() as u64);
            self.at = self.at.map(|(inode, offset)| (inode, offset + grown));
            return Ok(&self.ledger);
        }
        self.at = None;
        self.ledger = Ledger::default();
        if let Some((inode, text)) = log::read_from(&path, 0)? {
            self.ledger = Ledger::read(&text).map_err(|error| error.context(path.display()))?;
            let whole = text.rfind('\n').map_or(0, |end| end as u64 + 1);
            self.at = Some((inode, whole));
        }
        Ok(&self.ledger)
    }
}

impl Settled {
    /// Lets go of facts that are nobody's any more: what they were facts of is gone.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn forget(&self, facts: Vec<Fact>) -> Result<(), Error> {
        let store = self.store();
        if facts.is_empty() || log::is_empty(&store.ledger_path())? {
            return Ok(());
        }
        store.add_to_ledger(&ledger::commit(None, None, [], &facts), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    use crate::store::settled::Gate;
    use netkeel_core::fact::{Field, Value};
    use netkeel_core::name::netns::Netns;
    use netkeel_plan::ledger::{Line, OwnershipRecord};

    fn claim(name: &str) -> OwnershipRecord {
        OwnershipRecord {
            fact: Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu),
            owner: "a".into(),
            found: Some(Value::Number(1500)),
            wrote: Some(Value::Number(1460)),
            caused_by: None,
        }
    }

    fn add(store: &Store, transaction: &str, name: &str) {
        store
            .add_to_ledger(&ledger::commit(Some(transaction), None, [claim(name)], []), false)
            .unwrap();
    }

    #[test]
    fn what_is_read_on_is_what_reading_it_whole_gives() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        let path = store.ledger_path();
        let mut held = LedgerFile::default();
        let mut same = |what: &str| {
            let whole = store.ledger().unwrap();
            assert_eq!(
                held.now(&store).unwrap().of("a").collect::<Vec<_>>(),
                whole.of("a").collect::<Vec<_>>(),
                "{what}"
            );
            whole.of("a").count()
        };
        assert_eq!(same("nothing"), 0);
        fs::write(&path, "").unwrap();
        assert_eq!(same("empty"), 0);
        add(&store, "1", "eth0");
        assert_eq!(same("first"), 1);
        add(&store, "2", "eth1");
        assert_eq!(same("added"), 2);
        assert_eq!(same("no more"), 2);
        let Gate::Settled(settled) = store.lock("a test", Duration::ZERO).unwrap().look().unwrap() else {
            panic!("an apply is pending");
        };
        settled.forget(vec![claim("eth0").fact]).unwrap();
        assert_eq!(same("forgotten"), 1);
        let undone = Line::RolledBack {
            transaction: "2".into(),
        };
        store.add_to_ledger(&[undone], false).unwrap();
        assert_eq!(same("undone"), 0);
        log::append(&path, "{\"torn", false).unwrap();
        assert_eq!(same("torn"), 0);
        add(&store, "3", "eth2");
        assert_eq!(same("after what was torn"), 1);
        let other = Ledger::from_iter([claim("eth3"), claim("eth4")]);
        log::replace(&path, &other.compact().unwrap()).unwrap();
        assert_eq!(same("compacted"), 2);
    }

    #[test]
    fn a_ledger_whose_first_line_is_torn_begins_anew() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::at(scratch.path());
        store.make().unwrap();
        fs::write(store.ledger_path(), "{\"form").unwrap();
        add(&store, "1", "eth0");
        assert_eq!(store.ledger().unwrap().claims().count(), 1);
        fs::write(store.ledger_path(), "{\"form").unwrap();
        let undone = Line::RolledBack {
            transaction: "1".into(),
        };
        store.add_to_ledger(&[undone], false).unwrap();
        assert_eq!(store.ledger().unwrap().claims().count(), 0);
    }
}
