//! The ledger: ownership records, which hold the value of each written field as netkeel found it, so that a
//! release can restore it. It is stored as a log of JSON lines and compacted from time to time.
//!
//! The first line is the format. The lines of an apply count once a [`Line::Committed`] follows them, until
//! a [`Line::RolledBack`] names the apply. Text after the last newline was torn by a crash and is ignored.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Value};
use netkeel_core::maybe_secret::reveal;

/// The version of the format. Any other version is rejected.
const FORMAT: u32 = 1;

/// A log with fewer obsolete lines than this is not compacted.
const FEW: usize = 64;

/// The record that an owner owns a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnershipRecord {
    /// The fact.
    pub fact: Fact,
    /// The owner.
    pub owner: String,
    /// The value before netkeel first wrote the fact; `None` if it did not exist.
    #[serde(deserialize_with = "Option::deserialize")]
    pub found: Option<Value>,
    /// The value that netkeel wrote last; `None` if netkeel removed the fact.
    #[serde(deserialize_with = "Option::deserialize")]
    pub wrote: Option<Value>,
    /// The fact that netkeel wrote, if this one only changed with it in the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<Box<Fact>>,
}

impl OwnershipRecord {
    /// Merges a later record of the same fact. A side effect of one owner never replaces the declaration of
    /// another.
    fn take(&mut self, later: OwnershipRecord) {
        if later.caused_by.is_some() && later.owner != self.owner {
            return;
        }
        let is_declared = self.caused_by.is_none() || later.caused_by.is_none();
        self.caused_by = later.caused_by.filter(|_| !is_declared);
        self.wrote = later.wrote;
        self.owner = later.owner;
    }
}

/// The first line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the format.
    pub format: u32,
}

impl Head {
    /// The first line of a new log.
    pub const NEW: Self = Head { format: FORMAT };
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
        /// The number of lines that it commits.
        lines: usize,
    },
    /// An apply was undone, so none of its lines counts.
    RolledBack {
        /// The apply.
        transaction: String,
    },
}

/// The lines that a commit adds to the log. The last one records that the apply was committed, so it is
/// written even without ownership records.
pub fn commit<'a>(
    transaction: Option<&str>,
    claims: impl IntoIterator<Item = OwnershipRecord>,
    released: impl IntoIterator<Item = &'a Fact>,
) -> Vec<Line> {
    let mut lines: Vec<Line> = claims.into_iter().map(Box::new).map(Line::Record).collect();
    lines.extend(released.into_iter().cloned().map(Line::Release));
    lines.push(Line::Committed {
        transaction: transaction.map(str::to_owned),
        lines: lines.len(),
    });
    lines
}

/// All current ownership records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    claims: BTreeMap<Fact, OwnershipRecord>,
    /// The applies that were committed since the log was last compacted.
    committed: BTreeSet<String>,
    /// The number of lines in the log.
    lines: usize,
}

impl FromIterator<OwnershipRecord> for Ledger {
    /// The ledger after these records were committed in this order.
    fn from_iter<I: IntoIterator<Item = OwnershipRecord>>(claims: I) -> Self {
        let mut ledger = Ledger::default();
        for claim in claims {
            ledger.lines += 1;
            ledger.hold(claim);
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
        let Head { format } = serde_json::from_str(first).map_err(|error| damaged(&error))?;
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
                Line::Committed { transaction, lines } => {
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
                            .for_each(|change| self.change(change));
                    }
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Hold(claim) => self.hold(*claim),
            Change::Release(fact) => {
                self.claims.remove(&fact);
            }
        }
    }

    /// Adds a record. A later record of the same fact keeps the value that was found first.
    fn hold(&mut self, later: OwnershipRecord) {
        match self.claims.entry(later.fact.clone()) {
            Entry::Occupied(mut held) => held.get_mut().take(later),
            Entry::Vacant(free) => {
                free.insert(later);
            }
        }
    }

    /// The record of a fact.
    pub fn get(&self, fact: &Fact) -> Option<&OwnershipRecord> {
        self.claims.get(fact)
    }

    /// The records of an owner, in the order of the facts.
    pub fn of(&self, owner: &str) -> impl Iterator<Item = &OwnershipRecord> {
        self.claims.values().filter(move |claim| claim.owner == owner)
    }

    /// All records, in the order of the facts.
    pub fn claims(&self) -> impl ExactSizeIterator<Item = &OwnershipRecord> {
        self.claims.values()
    }

    /// Whether an apply was committed. Only applies since the last compaction are known.
    pub fn holds_those_of(&self, transaction: &str) -> bool {
        self.committed.contains(transaction)
    }

    /// All owners.
    #[cfg(test)]
    fn owners(&self) -> BTreeSet<&str> {
        self.claims.values().map(|claim| claim.owner.as_str()).collect()
    }

    /// Whether most lines of the log are obsolete.
    pub fn wants_compacting(&self) -> bool {
        let stale = self.lines.saturating_sub(self.claims.len());
        stale > FEW && stale > self.claims.len()
    }

    /// The shortest log with the same records, for a file that only root can read: it has the text of secrets.
    ///
    /// # Errors
    /// Never in practice: every record can be written as JSON.
    pub fn compact(&self) -> Result<String, Error> {
        let lines = commit(None, self.claims.values().cloned(), []);
        let head = [serde_json::to_string(&Head::NEW)].into_iter();
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

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::fact::Field;
    use netkeel_core::name::netns::Netns;

    fn claim(name: &str, owner: &str, found: i64, wrote: i64) -> OwnershipRecord {
        OwnershipRecord {
            fact: Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu),
            owner: owner.into(),
            found: Some(Value::Number(found)),
            wrote: Some(Value::Number(wrote)),
            caused_by: None,
        }
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap() + "\n"
    }

    fn text(lines: &[Line]) -> String {
        lines.iter().map(json).collect()
    }

    fn log(parts: &[Vec<Line>]) -> String {
        json(&Head::NEW) + &text(&parts.concat())
    }

    fn committed(transaction: &str, claims: &[OwnershipRecord], released: &[OwnershipRecord]) -> Vec<Line> {
        let released = released.iter().map(|claim| &claim.fact);
        commit(Some(transaction), claims.iter().cloned(), released)
    }

    fn undone(transaction: &str) -> Vec<Line> {
        vec![Line::RolledBack {
            transaction: transaction.into(),
        }]
    }

    /// The file is read by people after a crash: one line of each kind.
    #[test]
    fn each_kind_of_line_reads_well() {
        let mut absent = claim("eth1", "default", 0, 0);
        (absent.found, absent.wrote) = (None, Some(Value::Text("loose".into())));
        absent.caused_by = Some(Box::new(claim("eth0", "", 0, 0).fact));
        let held = [claim("eth0", "default", 1500, 1460), absent];
        let lines = [
            committed("1", &held, &[claim("eth2", "", 0, 0)]),
            commit(None, [], []),
            undone("1"),
        ];
        insta::assert_snapshot!(log(&lines).trim_end(), @r#"
        {"format":1}
        {"record":{"fact":{"object":{"link":"eth0"},"field":"mtu"},"owner":"default","found":1500,"wrote":1460}}
        {"record":{"fact":{"object":{"link":"eth1"},"field":"mtu"},"owner":"default","found":null,"wrote":"loose","caused_by":{"object":{"link":"eth0"},"field":"mtu"}}}
        {"release":{"object":{"link":"eth2"},"field":"mtu"}}
        {"committed":{"transaction":"1","lines":3}}
        {"committed":{"lines":0}}
        {"rolled_back":{"transaction":"1"}}
        "#);
    }

    #[test]
    fn the_value_found_first_is_kept() {
        let text = log(&[
            committed("1", &[claim("eth0", "a", 1500, 1460)], &[]),
            committed("2", &[claim("eth0", "a", 1460, 1400)], &[]),
        ]);
        let ledger = Ledger::read(&text).unwrap();
        assert_eq!(
            ledger.of("a").collect::<Vec<_>>(),
            [&claim("eth0", "a", 1500, 1400)]
        );
        assert_eq!(
            Ledger::read(&ledger.compact().unwrap()).unwrap().claims,
            ledger.claims
        );
    }

    #[test]
    fn a_side_effect_of_another_owner_does_not_take_a_declared_fact() {
        let with = |mut claim: OwnershipRecord| {
            claim.caused_by = Some(Box::new(crate::ledger::tests::claim("eth9", "", 0, 0).fact));
            claim
        };
        let ledger = |claims: [OwnershipRecord; 2]| Ledger::from_iter(claims);
        let held = |claims| ledger(claims).claims().next().unwrap().clone();
        let (declared, later) = (claim("eth0", "a", 1500, 1460), claim("eth0", "b", 1460, 1400));
        assert_eq!(held([declared.clone(), with(later.clone())]), declared);
        // The owner that declares the fact takes it.
        assert_eq!(
            held([with(declared.clone()), later]),
            claim("eth0", "b", 1500, 1400)
        );
        // A declaration of one owner stays a declaration, whatever else it changes.
        let again = claim("eth0", "a", 1460, 1400);
        assert_eq!(
            held([declared.clone(), with(again.clone())]),
            claim("eth0", "a", 1500, 1400)
        );
        assert_eq!(
            held([with(declared), with(again)]),
            with(claim("eth0", "a", 1500, 1400))
        );
    }

    #[test]
    fn an_apply_that_was_undone_claims_nothing_and_what_is_released_is_free() {
        let text = log(&[
            committed(
                "1",
                &[claim("eth0", "a", 1500, 1460), claim("eth1", "b", 1500, 1460)],
                &[],
            ),
            committed("2", &[claim("eth2", "a", 1500, 1460)], &[]),
            undone("2"),
            committed("3", &[], &[claim("eth0", "a", 0, 0)]),
            // A release that was killed after its commit was written, and then undone.
            committed("4", &[], &[claim("eth1", "b", 0, 0)]),
            undone("4"),
        ]);
        let ledger = Ledger::read(&text).unwrap();
        assert_eq!(ledger.owners(), BTreeSet::from(["b"]));
        assert_eq!(ledger.of("b").count(), 1);
        assert!(ledger.holds_those_of("3") && !ledger.holds_those_of("4"));
    }

    #[test]
    fn a_commit_that_was_killed_counts_neither_when_it_is_undone_nor_beside_the_one_that_resumes_it() {
        let held = committed("1", &[claim("eth0", "a", 1500, 1460)], &[]);
        let whole = committed(
            "2",
            &[claim("eth1", "a", 1500, 1460)],
            &[claim("eth0", "a", 0, 0)],
        );
        for lines in 0..whole.len() {
            let killed = whole[..lines].to_vec();
            let then = |next: Vec<Line>| {
                let ledger = Ledger::read(&log(&[held.clone(), killed.clone(), next])).unwrap();
                let names: Vec<String> = ledger.claims().map(|claim| claim.fact.to_string()).collect();
                (names, ledger.holds_those_of("2"))
            };
            let before = (vec![claim("eth0", "", 0, 0).fact.to_string()], false);
            assert_eq!(then(Vec::new()), before);
            assert_eq!(then(undone("2")), before);
            let other = then([undone("2"), committed("3", &[], &[])].concat());
            assert_eq!(other, before);
            let after = (vec![claim("eth1", "", 0, 0).fact.to_string()], true);
            assert_eq!(then(whole.clone()), after);
        }
    }

    #[test]
    fn pods_that_come_and_go_do_not_make_the_log_long() {
        let eth0 = committed("0", &[claim("eth0", "a", 1500, 1460)], &[]);
        let mut ledger = Ledger::read(&log(&[eth0])).unwrap();
        let mut round = 0;
        while !ledger.wants_compacting() {
            let pods: Vec<OwnershipRecord> = (0..10)
                .map(|number| claim(&format!("cali{round}x{number}"), "a", 1500, 1460))
                .collect();
            assert!(ledger.append(&text(&committed("1", &pods, &[]))).unwrap());
            let gone = commit(None, [], pods.iter().map(|pod| &pod.fact));
            assert!(ledger.append(&text(&gone)).unwrap());
            round += 1;
        }
        assert_eq!((round, ledger.claims().len()), (3, 1));
        assert!(
            !Ledger::read(&ledger.compact().unwrap())
                .unwrap()
                .wants_compacting()
        );
    }

    #[test]
    fn a_torn_line_does_not_count() {
        let text = log(&[committed("1", &[claim("eth0", "a", 1500, 1460)], &[])]);
        for cut in 0..text.len() {
            let ledger = Ledger::read(&text[..cut]).unwrap();
            assert_eq!((ledger.owners().len(), ledger.holds_those_of("1")), (0, false));
        }
        assert!(Ledger::read(&text).unwrap().holds_those_of("1"));
    }

    #[test]
    fn another_format_is_refused_whatever_its_lines_are() {
        let error = Ledger::read("{\"format\":2}\n{\"unknown\":1}\n").unwrap_err();
        assert_eq!(
            error.message,
            "the ledger has format 2; this netkeel reads format 1"
        );
    }

    #[test]
    fn a_damaged_log_is_rejected() {
        let lost = log(&[vec![Line::Committed {
            transaction: None,
            lines: 1,
        }]]);
        let without_value = json(&Head::NEW)
            + "{\"record\":{\"fact\":{\"object\":{\"link\":\"eth0\"},\"field\":\"mtu\"},\"owner\":\"a\",\"wrote\":1}}\n";
        let without_head = text(&committed("1", &[], &[]));
        for text in [lost, without_value, without_head] {
            let error = Ledger::read(&text).unwrap_err();
            assert!(
                error.message.starts_with("the ledger is damaged: "),
                "{text}: {error}"
            );
        }
    }
}
