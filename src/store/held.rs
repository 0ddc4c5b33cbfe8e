//! The ledger as a service holds it: read once, and then what was added since.

use super::{Store, log};
use crate::error::Error;
use crate::fact::Fact;
use crate::ledger::{Ledger, NewLine};

/// A ledger that is read on.
#[derive(Debug, Default)]
pub struct HeldLedger {
    ledger: Ledger,
    /// Which file, and how much of it was read.
    at: Option<(u64, u64)>,
}

impl HeldLedger {
    /// The ledger as it is now. Whoever calls holds the lock.
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
            (Some((inode, text)), Some((known, _))) if *inode == known => {
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

impl Store {
    /// Lets go of facts that are nobody's any more: what they were facts of is gone.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn forget(&self, facts: Vec<Fact>) -> Result<(), Error> {
        if facts.is_empty() || log::is_empty(&self.ledger_path())? {
            return Ok(());
        }
        let line = NewLine::released("gone", facts.iter()).text()?;
        log::append(&self.ledger_path(), &line, false)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::fact::{Field, Value};
    use crate::ledger::{Claim, Hold, NewClaim};
    use crate::netns::Netns;

    fn claim(name: &str) -> Claim {
        Claim {
            fact: Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu),
            hold: Arc::new(Hold {
                owner: "a".into(),
                found: Some(Value::Number(1500)),
                wrote: Some(Value::Number(1460)),
                beside: None,
            }),
        }
    }

    fn add(path: &Path, line: &str) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    fn claims_line(transaction: &str, claim: Claim) -> String {
        let claims = [NewClaim::from(&claim)];
        NewLine::claims(transaction, claims.into_iter()).text().unwrap()
    }

    #[test]
    fn what_is_read_on_is_what_reading_it_whole_gives() {
        let scratch = tempfile::tempdir().unwrap();
        let store = Store {
            run: scratch.path().into(),
            state: scratch.path().into(),
            boot: String::new(),
        };
        let path = store.ledger_path();
        let mut held = HeldLedger::default();
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
        add(&path, &NewLine::FIRST.text().unwrap());
        add(&path, &claims_line("1", claim("eth0")));
        assert_eq!(same("first"), 1);
        add(&path, &claims_line("2", claim("eth1")));
        assert_eq!(same("added"), 2);
        assert_eq!(same("no more"), 2);
        store.forget(vec![claim("eth0").fact]).unwrap();
        assert_eq!(same("forgotten"), 1);
        add(&path, &NewLine::void("2").text().unwrap());
        assert_eq!(same("undone"), 0);
        add(&path, "{\"torn");
        assert_eq!(same("torn"), 0);
        let text = NewLine::FIRST.text().unwrap() + &claims_line("3", claim("eth3"));
        log::replace(&path, &text).unwrap();
        assert_eq!(same("compacted"), 1);
    }
}
