//! The audit trail: one line for each apply, in a file that is set aside when it is long, in place
//! of the one that was set aside before.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{now, since_boot};
use crate::journal::{Entry, Header, Work};
use crate::store::{Store, log};
use netkeel_core::error::Error;
use netkeel_core::op::Op;
use netkeel_host::model::Change;
use netkeel_plan::plan::Step;
use netkeel_source::node::canonical;

/// From so many bytes on, a history is set aside: there are never more than twice as many, and what
/// a minute adds.
const LONG: u64 = 2 << 20;

/// Limits count the writes of this time, so its entries are never dropped.
const MINUTE: Duration = Duration::from_secs(60);

/// The result of an apply, and its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Names the entry: twelve hexadecimal digits.
    pub id: String,
    /// The apply. Its confirmation and its rollback are entries of their own with the same name.
    pub apply: String,
    /// Seconds since 1970; for people.
    pub time: u64,
    /// The boot in which it was.
    pub boot: String,
    /// Milliseconds since that boot. Limits count by it, so that steps of the wall clock change nothing.
    pub since_boot_ms: u64,
    /// The user, with pid and command.
    pub actor: String,
    /// The owner of the document.
    pub owner: String,
    /// The document, by hash; of no meaning unless `work` is an apply.
    pub document: String,
    /// The purpose of the apply.
    pub work: Work,
    /// The event.
    pub event: HistoryEvent,
    /// Why, if it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The facts that were written, with their values from before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<HistoryChange>,
    /// The commands that were executed, as an operator would have typed them. Where something was rolled
    /// back, the last one may have failed.
    pub commands: Vec<String>,
}

/// An event of an apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryEvent {
    /// Its writes hold.
    Applied,
    /// Its writes hold until they are confirmed.
    Unconfirmed,
    /// It was confirmed.
    Confirmed,
    /// It failed, or nobody confirmed it: the host is as before.
    RolledBack,
    /// It failed, and not everything could be rolled back.
    NotRolledBack,
    /// It was interrupted and finished later.
    Resumed,
}

impl fmt::Display for HistoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HistoryEvent::Applied => "applied",
            HistoryEvent::Unconfirmed => "applied, to be confirmed",
            HistoryEvent::Confirmed => "confirmed",
            HistoryEvent::RolledBack => "rolled back",
            HistoryEvent::NotRolledBack => "NOT rolled back",
            HistoryEvent::Resumed => "resumed",
        })
    }
}

/// A fact that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryChange {
    /// The fact.
    pub fact: String,
    /// Its value before, in a line.
    pub from: String,
    /// Its value after, in a line.
    pub to: String,
}

/// The ops of an apply that were executed.
#[derive(Clone, Debug, Default)]
pub struct Executed {
    changes: Vec<HistoryChange>,
    commands: Vec<String>,
}

impl Executed {
    /// Adds the op of a step with all facts that it changes.
    pub(crate) fn add(&mut self, step: &Step) {
        self.commands.push(step.op.to_string());
        let changes = step.changes.iter();
        self.changes.extend(changes.map(|Change { fact, from, to }| {
            let (from, to) = fact.summaries(from.as_ref(), to.as_ref());
            HistoryChange {
                fact: fact.to_string(),
                from,
                to,
            }
        }));
    }

    /// Entries of a journal, with the facts that they are for. An entry that only keeps a value changes none.
    pub(crate) fn of_entries<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut executed = Executed::default();
        for entry in entries {
            executed.commands.push(entry.op.to_string());
            if let Some(desired) = &entry.desired {
                let (from, to) = entry.fact.summaries(entry.found.as_ref(), Some(desired));
                executed.changes.push(HistoryChange {
                    fact: entry.fact.to_string(),
                    from,
                    to,
                });
            }
        }
        executed
    }

    /// The ops of a rollback, with the changes of the entries that they undo.
    pub(crate) fn undone<'a>(
        entries: impl Iterator<Item = &'a Entry>,
        ops: impl Iterator<Item = &'a Op>,
    ) -> Self {
        Executed {
            changes: Executed::of_entries(entries).changes,
            commands: ops.map(ToString::to_string).collect(),
        }
    }
}

impl Store {
    /// Adds a line: what came of an apply, now.
    ///
    /// # Errors
    /// When the history cannot be written.
    pub fn note(
        &self,
        header: &Header,
        event: HistoryEvent,
        why: Option<&str>,
        executed: Executed,
    ) -> Result<(), Error> {
        let since_boot_ms = milliseconds(since_boot());
        let mut id = canonical::digest(&format!("{} {event} {since_boot_ms}", header.transaction));
        id.truncate(12);
        let done = HistoryEntry {
            id,
            apply: header.transaction.clone(),
            time: now(),
            boot: self.boot.clone(),
            since_boot_ms,
            actor: header.actor.clone(),
            owner: header.owner.clone(),
            document: header.document.clone(),
            work: header.work,
            event,
            why: why.map(str::to_owned),
            changes: executed.changes,
            commands: executed.commands,
        };
        let path = self.state.join("history");
        let keeps = |text: &str| {
            let mut newest = text.lines().rev();
            let last = newest.find_map(|line| serde_json::from_str(line).ok());
            last.is_some_and(|last: HistoryEntry| self.is_recent(&last, since_boot()))
        };
        log::set_aside(&path, &self.state.join("history.old"), LONG, &keeps)?;
        log::write_json(&mut log::append_to(&path)?, &done, false, &path)
    }

    /// All lines, oldest first.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn history(&self) -> Result<Vec<HistoryEntry>, Error> {
        // The new one first: when it is set aside meanwhile, it is both, and counts once.
        let [new, old] = ["history", "history.old"].map(|name| log::read_with_inode(&self.state.join(name)));
        let (new, old) = (new?, old?);
        let same = new
            .as_ref()
            .zip(old.as_ref())
            .is_some_and(|(new, old)| new.0 == old.0);
        let parts = [old.filter(|_| !same), new].into_iter().flatten();
        // A line that does not make sense is one that a crash tore.
        Ok(parts
            .flat_map(|(_, text)| {
                let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
                lines.collect::<Vec<_>>()
            })
            .collect())
    }

    /// Whether an entry is of the last minute. Those of another boot are not: a reboot takes longer, or resets
    /// what was written.
    fn is_recent(&self, entry: &HistoryEntry, now: Duration) -> bool {
        let age = now.saturating_sub(Duration::from_millis(entry.since_boot_ms));
        entry.boot == self.boot && age < MINUTE
    }

    /// How many writes a limit of so many a minute leaves; none where there is no limit.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn writes_left(&self, a_minute: Option<usize>) -> Result<Option<usize>, Error> {
        let Some(limit) = a_minute else {
            return Ok(None);
        };
        let now = since_boot();
        let history = self.history()?;
        let lately = history.iter().filter(|done| self.is_recent(done, now));
        let writes: usize = lately.map(|done| done.commands.len()).sum();
        Ok(Some(limit.saturating_sub(writes)))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn header(document: usize) -> Header {
        Header {
            format: crate::journal::FORMAT,
            transaction: "t1".into(),
            boot: "b1".into(),
            netns: netkeel_core::name::netns::Netns::CURRENT,
            owner: "default".into(),
            document: document.to_string(),
            actor: "somebody".repeat(1000),
            work: Work::Apply,
            confirm_by: None,
        }
    }

    fn at(scratch: &tempfile::TempDir) -> Store {
        let store = Store::at(scratch.path());
        store.make().unwrap();
        store
    }

    fn documents(store: &Store) -> Vec<usize> {
        let history = store.history().unwrap();
        history
            .iter()
            .map(|done| done.document.parse().unwrap())
            .collect()
    }

    /// Makes what was set aside look as if it were of the first second after boot.
    fn age(store: &Store) {
        let path = store.state.join("history.old");
        let entries = log::read(&path).unwrap().unwrap();
        let aged = entries.lines().map(|line| {
            let mut entry: HistoryEntry = serde_json::from_str(line).unwrap();
            entry.since_boot_ms = 0;
            serde_json::to_string(&entry).unwrap() + "\n"
        });
        fs::write(&path, aged.collect::<String>()).unwrap();
    }

    fn size(store: &Store, name: &str) -> u64 {
        fs::metadata(store.state.join(name)).map_or(0, |metadata| metadata.len())
    }

    #[test]
    fn it_does_not_grow_without_bound_and_keeps_the_newest() {
        let scratch = tempfile::tempdir().unwrap();
        let store = at(&scratch);
        for number in 0..1000 {
            store
                .note(&header(number), HistoryEvent::Applied, None, Executed::default())
                .unwrap();
            // Now and then: it reads all that was set aside.
            if number % 50 == 0 && size(&store, "history.old") > 0 {
                age(&store);
            }
        }
        assert!(size(&store, "history") < LONG + 10_000);
        assert!(size(&store, "history.old") < LONG + 10_000);
        let documents = documents(&store);
        let first = documents[0];
        assert!((1..750).contains(&first), "{first}");
        assert_eq!(documents, (first..1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_minute_is_not_dropped() {
        let scratch = tempfile::tempdir().unwrap();
        let store = at(&scratch);
        for number in 0..1000 {
            store
                .note(&header(number), HistoryEvent::Applied, None, Executed::default())
                .unwrap();
        }
        assert_eq!(documents(&store).len(), 1000);
    }

    #[test]
    fn a_limit_counts_the_last_minute_of_this_boot_whatever_the_wall_clock_says() {
        let scratch = tempfile::tempdir().unwrap();
        let store = at(&scratch);
        let ago = |seconds: u64| milliseconds(since_boot() - Duration::from_secs(seconds));
        for (boot, since_boot_ms, time) in [
            ("b1", ago(10), 0),
            ("b1", ago(20), now() + 86_400),
            ("b1", ago(61), now()),
            ("b0", ago(10), now()),
        ] {
            let entry = HistoryEntry {
                id: "1".into(),
                apply: "t1".into(),
                time,
                boot: boot.into(),
                since_boot_ms,
                actor: "me".into(),
                owner: "default".into(),
                document: "1".into(),
                work: Work::Apply,
                event: HistoryEvent::Applied,
                why: None,
                changes: Vec::new(),
                commands: vec!["a".into(), "b".into()],
            };
            let line = serde_json::to_string(&entry).unwrap() + "\n";
            log::append(&store.state.join("history"), &line, false).unwrap();
        }
        assert_eq!(store.writes_left(Some(10)).unwrap(), Some(6));
        assert_eq!(store.writes_left(None).unwrap(), None);
    }

    #[test]
    fn a_torn_line_does_not_count_wherever_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        let store = at(&scratch);
        store
            .note(&header(1), HistoryEvent::Applied, None, Executed::default())
            .unwrap();
        // A crash in the middle of a long line, the last before the file is set aside.
        log::append(&store.state.join("history"), &"{".repeat(LONG as usize), false).unwrap();
        store
            .note(&header(2), HistoryEvent::Applied, None, Executed::default())
            .unwrap();
        assert_eq!(documents(&store), [1, 2]);
        assert!(size(&store, "history") < 20_000);
    }

    #[test]
    fn one_that_is_set_aside_while_it_is_read_counts_once() {
        let scratch = tempfile::tempdir().unwrap();
        let store = at(&scratch);
        store
            .note(&header(1), HistoryEvent::Applied, None, Executed::default())
            .unwrap();
        fs::hard_link(store.state.join("history"), store.state.join("history.old")).unwrap();
        assert_eq!(documents(&store), [1]);
    }
}
