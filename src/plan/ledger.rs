//! The ledger: ownership records, which hold the value of each written field as netkeel found it, so that a
//! release can restore it. It is stored as a log of JSON lines and compacted from time to time.
//!
//! The first line is the format. The lines of an apply count once a [`Line::Committed`] follows them, until
//! a [`Line::RolledBack`] names the apply. Text after the last newline was torn by a crash and is ignored.

pub(crate) mod carried;
pub mod place;
#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Object, Value};
use netkeel_core::maybe_secret::reveal;
use netkeel_core::name::device::DeviceId;

/// The version of the format. Any other version is rejected.
const FORMAT: u32 = 1;

/// A log with fewer obsolete lines than this is not compacted.
const FEW: usize = 64;

/// The record that an owner owns a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnershipRecord {
    /// The fact.
    pub fact: Fact,
    /// The interface that the fact was of when netkeel wrote it; `None` for a fact of no interface, and where it is not
    /// known. A record without the key is damaged.
    #[serde(deserialize_with = "Option::deserialize")]
    pub device: Option<DeviceId>,
    /// The owner.
    pub owner: String,
    /// The value before netkeel first wrote the fact; `None` if it did not exist.
    #[serde(deserialize_with = "Option::deserialize")]
    pub found: Option<Value>,
    /// The value that netkeel wrote last; `None` if netkeel removed the fact.
    #[serde(deserialize_with = "Option::deserialize")]
    pub wrote: Option<Value>,
    /// The fact that netkeel wrote, if this one only changed with it in the kernel, or was written only for it: see
    /// [`OwnershipRecord::follows_forwarding`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<Box<Fact>>,
}

impl OwnershipRecord {
    /// Whether netkeel wrote the fact only to keep announced default routes, since it switched IPv6 forwarding on.
    pub fn follows_forwarding(&self) -> bool {
        let is_accept_ra = matches!(&self.fact.object, Object::Sysctl(key) if key.accept_ra_of().is_some());
        let with = self.caused_by.as_deref();
        is_accept_ra && with.is_some_and(Fact::removes_announced_routes)
    }

    /// Whether a document that declares these facts declares this one. A side effect is declared with the fact that
    /// caused it.
    pub(crate) fn is_declared_by(&self, declares: impl Fn(&Fact) -> bool) -> bool {
        let cause = self.caused_by.as_deref().filter(|_| !self.follows_forwarding());
        declares(&self.fact) || cause.is_some_and(declares)
    }

    /// Merges a later record of the same fact, and returns whether it counts. A side effect of one owner never
    /// replaces the declaration of another.
    fn take(&mut self, later: OwnershipRecord) -> bool {
        if later.caused_by.is_some() && later.owner != self.owner {
            return false;
        }
        if self.is_of_another(&later) {
            *self = later;
            return true;
        }
        let is_declared = self.caused_by.is_none() || later.caused_by.is_none();
        self.caused_by = later.caused_by.filter(|_| !is_declared);
        self.device = later.device;
        self.wrote = later.wrote;
        self.owner = later.owner;
        true
    }
}

/// The first line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the format.
    pub format: u32,
    /// Tells this log from those before it: a compacted one has another. An inode does not, since the file system uses
    /// it again. Empty in a log of a netkeel that wrote none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

impl Head {
    /// The first line of a new log. No other log has the id.
    pub fn new(id: String) -> Self {
        Head { format: FORMAT, id }
    }
}

/// A line of the log after the [`Head`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A fact becomes owned.
    Record(Box<OwnershipRecord>),
    /// A fact is released.
    Release(Fact),
    /// The preceding lines count. Without this line they are ignored.
    Committed {
        /// The apply; `None` if netkeel compacts the log or purges facts of deleted interfaces.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transaction: Option<String>,
        /// When the records were written: Unix seconds by the wall clock, only to be shown. `None` if they
        /// have no known time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<u64>,
        /// The number of lines that it commits.
        lines: usize,
    },
    /// An apply was undone, so none of its lines counts.
    RolledBack {
        /// The apply.
        transaction: String,
    },
}

/// The lines that a commit at a time adds to the log. The last one records that the apply was committed, so it
/// is written even without ownership records.
pub fn commit<'a>(
    transaction: Option<&str>,
    at: Option<u64>,
    claims: impl IntoIterator<Item = OwnershipRecord>,
    released: impl IntoIterator<Item = &'a Fact>,
) -> Vec<Line> {
    let mut lines: Vec<Line> = claims.into_iter().map(Box::new).map(Line::Record).collect();
    lines.extend(released.into_iter().cloned().map(Line::Release));
    lines.push(Line::Committed {
        transaction: transaction.map(str::to_owned),
        at,
        lines: lines.len(),
    });
    lines
}

/// All current ownership records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    claims: BTreeMap<Fact, Held>,
    /// The applies that were committed since the log was last compacted.
    committed: BTreeSet<String>,
    /// The number of lines in the log.
    lines: usize,
}

/// A record in force.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    record: OwnershipRecord,
    /// When the fact was written last: Unix seconds, if known.
    written: Option<u64>,
}

impl FromIterator<OwnershipRecord> for Ledger {
    /// The ledger after these records were committed in this order.
    fn from_iter<I: IntoIterator<Item = OwnershipRecord>>(claims: I) -> Self {
        let mut ledger = Ledger::default();
        for claim in claims {
            ledger.lines += 1;
            ledger.hold(claim, None);
        }
        ledger
    }
}

impl Ledger {
    /// Reads a log. Text after the last newline was torn by a crash and is ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] for a line that cannot be parsed and for another format.
    pub fn read(text: &str) -> Result<Self, Error> {
        let mut ledger = Ledger::default();
        let Some((first, rest)) = text.split_once('\n') else {
            return Ok(ledger);
        };
        let Head { format, id: _ } = serde_json::from_str(first).map_err(|error| damaged(&error))?;
        if format != FORMAT {
            return Err(Error::new(
                ErrorKind::Unreadable,
                format!("the ledger has format {format}; this netkeel reads format {FORMAT}"),
            )
            .hint("use the netkeel that wrote it"));
        }
        let lines = read_lines(rest)?;
        let undone = lines.iter().filter_map(|line| match line {
            Line::RolledBack { transaction } => Some(transaction.clone()),
            Line::Record(_) | Line::Release(_) | Line::Committed { .. } => None,
        });
        let undone: BTreeSet<String> = undone.collect();
        ledger.lines = 1;
        ledger.take(lines, &undone)?;
        Ok(ledger)
    }

    /// Reads lines that were added to the log. Returns false if they depend on earlier lines, so that the
    /// whole log must be read.
    ///
    /// # Errors
    /// See [`Ledger::read`].
    pub fn append(&mut self, text: &str) -> Result<bool, Error> {
        let lines = read_lines(text)?;
        if lines.iter().any(|line| matches!(line, Line::RolledBack { .. })) {
            return Ok(false);
        }
        self.take(lines, &BTreeSet::new())?;
        Ok(true)
    }

    fn take(&mut self, lines: Vec<Line>, undone: &BTreeSet<String>) -> Result<(), Error> {
        self.lines += lines.len();
        let mut changes = Vec::new();
        for line in lines {
            match line {
                Line::Record(claim) => changes.push(Change::Hold(claim)),
                Line::Release(fact) => changes.push(Change::Release(fact)),
                // The apply was undone before its commit was complete.
                Line::RolledBack { .. } => changes.clear(),
                Line::Committed {
                    transaction,
                    at,
                    lines,
                } => {
                    // An apply that was killed during its commit and then resumed has written some of these
                    // lines before.
                    let earlier = changes.len().checked_sub(lines).ok_or_else(|| {
                        damaged(&format!("a commit of {lines} lines has {}", changes.len()))
                    })?;
                    let counts = transaction.as_ref().is_none_or(|name| !undone.contains(name));
                    let changes = std::mem::take(&mut changes);
                    if counts {
                        self.committed.extend(transaction);
                        changes
                            .into_iter()
                            .skip(earlier)
                            .for_each(|change| self.change(change, at));
                    }
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, change: Change, at: Option<u64>) {
        match change {
            Change::Hold(claim) => self.hold(*claim, at),
            Change::Release(fact) => {
                self.claims.remove(&fact);
            }
        }
    }

    /// Adds a record. A later record of the same fact keeps the value that was found first.
    fn hold(&mut self, later: OwnershipRecord, at: Option<u64>) {
        match self.claims.entry(later.fact.clone()) {
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                if held.record.take(later) {
                    held.written = at;
                }
            }
            Entry::Vacant(free) => {
                free.insert(Held {
                    record: later,
                    written: at,
                });
            }
        }
    }

    /// The record of a fact.
    pub fn get(&self, fact: &Fact) -> Option<&OwnershipRecord> {
        self.claims.get(fact).map(|held| &held.record)
    }

    /// When netkeel wrote a fact last: Unix seconds by the wall clock, only to be shown. `None` if it is unknown.
    pub fn written_at(&self, fact: &Fact) -> Option<u64> {
        self.claims.get(fact)?.written
    }

    /// The records of an owner, in the order of the facts.
    pub fn of(&self, owner: &str) -> impl Iterator<Item = &OwnershipRecord> {
        self.claims().filter(move |claim| claim.owner == owner)
    }

    /// All records, in the order of the facts.
    pub fn claims(&self) -> impl ExactSizeIterator<Item = &OwnershipRecord> {
        self.claims.values().map(|held| &held.record)
    }

    /// Whether an apply was committed. Only applies since the last compaction are known.
    pub fn holds_those_of(&self, transaction: &str) -> bool {
        self.committed.contains(transaction)
    }

    /// All owners.
    #[cfg(test)]
    fn owners(&self) -> BTreeSet<&str> {
        self.claims().map(|claim| claim.owner.as_str()).collect()
    }

    /// Whether most lines of the log are obsolete.
    pub fn wants_compacting(&self) -> bool {
        let stale = self.lines.saturating_sub(self.claims.len());
        stale > FEW && stale > self.claims.len()
    }

    /// The shortest log with the same records, and with an id that no other log has. It is for a file that only root can
    /// read: it has the text of secrets.
    ///
    /// # Errors
    /// Never in practice: every record can be written as JSON.
    pub fn compact(&self, id: String) -> Result<String, Error> {
        // One commit for each time, so that the times are kept.
        let mut by_time: BTreeMap<Option<u64>, Vec<OwnershipRecord>> = BTreeMap::new();
        for held in self.claims.values() {
            by_time.entry(held.written).or_default().push(held.record.clone());
        }
        let commits = by_time
            .into_iter()
            .map(|(at, records)| commit(None, at, records, []));
        let lines: Vec<Line> = commits.flatten().collect();
        let head = [serde_json::to_string(&Head::new(id))].into_iter();
        let lines = head.chain(lines.iter().map(|line| reveal(|| serde_json::to_string(line))));
        lines
            .map(|line| line.map(|line| line + "\n"))
            .collect::<Result<String, _>>()
            .map_err(|error| {
                let message = format!("the ledger cannot be written: {error}");
                Error::new(ErrorKind::Unreadable, message)
            })
    }
}

/// The effect of a line once it is committed.
enum Change {
    Hold(Box<OwnershipRecord>),
    Release(Fact),
}

fn read_lines(text: &str) -> Result<Vec<Line>, Error> {
    let whole = text
        .rfind('\n')
        .map_or("", |end| text.get(..end).unwrap_or_default());
    whole
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| damaged(&error)))
        .collect()
}

fn damaged(why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unreadable, format!("the ledger is damaged: {why}"))
}
