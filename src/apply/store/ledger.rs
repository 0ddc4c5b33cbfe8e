//! The ledger as a service holds it: read once, and then what was added since.

use crate::store::settled::Settled;
use crate::store::{Store, log};
use netkeel_core::error::Error;
use netkeel_core::fact::Fact;
use netkeel_plan::ledger;
use netkeel_plan::ledger::{Head, Ledger};

/// A ledger that is read on.
#[derive(Debug, Default)]
pub struct LedgerFile {
    ledger: Ledger,
    /// The first line of the log, and how many bytes of the log were read.
    at: Option<(String, u64)>,
}

impl LedgerFile {
    /// The ledger as it is now. The caller holds the lock.
    ///
    /// # Errors
    /// When the ledger is there and cannot be read.
    pub fn now(&mut self, store: &Store) -> Result<&Ledger, Error> {
        let path = store.ledger_path();
        let more = match &self.at {
            Some((first, offset)) => log::read_on(&path, first, *offset)?,
            None => None,
        };
        // Where this fails, the whole log tells whether it is damaged.
        let read_on = more.is_some_and(|more| {
            // A log only grows by whole lines; one that was torn was cut off since.
            let grown =
                more.is_empty() || (more.ends_with('\n') && self.ledger.append(&more).unwrap_or(false));
            if let Some((_, offset)) = &mut self.at {
                *offset += more.len() as u64;
            }
            grown
        });
        if read_on {
            return Ok(&self.ledger);
        }
        self.at = None;
        self.ledger = Ledger::default();
        if let Some(text) = log::read(&path)? {
            self.ledger = Ledger::read(&text).map_err(|error| error.context(path.display()))?;
            let whole = text.rfind('\n').map_or(0, |end| end as u64 + 1);
            let first = text.split_inclusive('\n').next().filter(|_| whole > 0);
            // Without an id it is not known whether it is still the same log.
            self.at = first
                .filter(|first| has_id(first))
                .map(|first| (first.to_owned(), whole));
        }
        Ok(&self.ledger)
    }
}

fn has_id(first: &str) -> bool {
    serde_json::from_str(first).is_ok_and(|head: Head| !head.id.is_empty())
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
            device: None,
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
        // The same file each time, as the inode of a file that was replaced twice: longer, then shorter than what was read.
        let links = |count: u32| Ledger::from_iter((0..count).map(|number| claim(&format!("veth{number}"))));
        for (count, id) in [(9, "a"), (3, "b"), (9, "c"), (9, "d"), (0, "e")] {
            fs::write(&path, links(count).compact(id.into()).unwrap()).unwrap();
            assert_eq!(same(id), count as usize);
        }
        add(&store, "4", "eth5");
        assert_eq!(same("after the last"), 1);
        let without_id = |name: &str| {
            let whole = Ledger::from_iter([claim(name)]).compact(String::new()).unwrap();
            fs::write(&path, whole).unwrap();
        };
        for name in ["eth6", "eth7"] {
            without_id(name);
            assert_eq!(same("no id"), 1);
        }
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
