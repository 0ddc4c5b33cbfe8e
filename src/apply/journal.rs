//! The journal: an apply writes its plan here before any other write, so that a later command can undo or
//! finish it after a crash.
//!
//! A journal is a text of JSON lines: the `Header`, then one `Line` for each step and for each event.
//! A list of steps counts from its `Line::Planned` on. A crash may leave a torn line after
//! the last newline; no op was executed for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Value};
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_plan::ledger::OwnershipRecord;
use netkeel_plan::plan::{Drift, Plan, Undo};

/// The version of the journal's format; any other is refused.
pub(crate) const FORMAT: u32 = 1;

/// The first line of a journal: whose apply it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `FORMAT`.
    pub format: u32,
    /// Names the apply in the ledger and in the history.
    pub transaction: String,
    /// The boot in which it began: live values do not survive another one.
    pub boot: String,
    /// The namespace.
    #[serde(default, skip_serializing_if = "netkeel_core::name::netns::Netns::is_current")]
    pub netns: Netns,
    /// The owner of the document.
    pub owner: String,
    /// The document, by hash.
    pub document: String,
    /// The user and process that run the apply, as far as known: `root (pid 812): netkeel apply -f x.yaml`.
    pub actor: String,
    /// Its work on the document.
    #[serde(default)]
    pub work: Work,
    /// Milliseconds since boot (CLOCK_BOOTTIME) at which it is undone unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_by: Option<u64>,
}

/// The purpose of an apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// It makes the host as the document says.
    #[default]
    Apply,
    /// It gives back what the owner holds.
    Release,
    /// It undoes an apply, whose name stands in place of the hash of a document.
    Undo,
    /// It removes what exists only while the service runs.
    Stop,
}

impl Header {
    /// Time since boot at which it is undone unless it is confirmed.
    pub fn confirm_by(&self) -> Option<Duration> {
        self.confirm_by.map(Duration::from_millis)
    }
}

/// A line of a journal after the [`Header`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A step of the plan.
    Step(Box<Entry>),
    /// A fact that the owner no longer holds once the apply is committed.
    Release(Fact),
    /// A fact that the kernel changes with the fact of a step.
    SideEffect(Box<OwnershipRecord>),
    /// The record of an interface that got another name since, by that name.
    Renamed(Box<OwnershipRecord>),
    /// The list of steps is whole: it has this many lines. Without this line, none of them counts.
    Planned {
        /// The number of lines before this one, back to the one before the list.
        lines: usize,
    },
    /// The op of a step is about to be executed. Whether it was is not known until the next line.
    Begun {
        /// The number of the step in this journal, from 1.
        step: usize,
    },
    /// Every op was executed and every fact has its value. Only the confirmation is missing.
    Complete {
        /// The interfaces that the apply made.
        made: BTreeMap<LinkName, DeviceId>,
    },
    /// Undoing has begun. From here on the apply cannot be finished.
    Undoing {},
}

/// One step as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The op.
    pub op: Op,
    /// How to undo it.
    pub undo: Undo,
    /// The fact it is for.
    pub fact: Fact,
    /// The interface of that fact; `None` if there is none, or if the apply makes it. A step without the key is damaged.
    #[serde(deserialize_with = "Option::deserialize")]
    pub device: Option<DeviceId>,
    /// The value before the apply; `None` if the fact was absent.
    #[serde(deserialize_with = "Option::deserialize")]
    pub found: Option<Value>,
    /// The wanted value; `None` for a step that only keeps a value.
    #[serde(deserialize_with = "Option::deserialize")]
    pub desired: Option<Value>,
}

/// A journal that was left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// Whose.
    pub header: Header,
    /// All steps.
    pub entries: Vec<Entry>,
    /// How many of them may have been executed: of the last of these it is not known.
    pub begun: usize,
    /// The facts that the owner releases when the apply is committed.
    pub released: Vec<Fact>,
    /// The facts that the kernel changes with it.
    pub beside: Vec<OwnershipRecord>,
    /// The records of interfaces that got another name since, by that name.
    pub renamed: Vec<OwnershipRecord>,
    /// The interfaces that it made, once all was done.
    pub made: BTreeMap<LinkName, DeviceId>,
    /// Undoing it was begun, so that some of what was executed may be undone.
    pub undoing: bool,
    /// Everything was done and seen to hold: only the confirmation is missing.
    pub complete: bool,
}

/// The list of the steps of a plan that are about files, or of those that are not. The facts that are
/// released and the side effects belong to those that are not.
pub(crate) fn steps(plan: &Plan, durable: bool) -> Vec<Line> {
    let drifts: BTreeMap<&Fact, &Drift> = plan.drift.iter().map(|drift| (&drift.fact, drift)).collect();
    let mut lines = Vec::new();
    for step in plan.steps.iter().filter(|step| step.op.is_durable() == durable) {
        let drift = drifts.get(&step.fact);
        lines.push(Line::Step(Box::new(Entry {
            op: step.op.clone(),
            undo: step.undo.clone(),
            fact: step.fact.clone(),
            device: plan.device(&step.fact),
            found: drift.and_then(|drift| drift.observed.clone()),
            desired: drift.and_then(|drift| drift.desired.clone()),
        })));
    }
    if !durable {
        lines.extend(plan.released.iter().cloned().map(Line::Release));
        lines.extend(plan.renamed.iter().cloned().map(Box::new).map(Line::Renamed));
        lines.extend(plan.beside.iter().cloned().map(Box::new).map(Line::SideEffect));
    }
    lines.push(Line::Planned { lines: lines.len() });
    lines
}

impl Journal {
    /// Reads a journal; none where the header or the first steps were not written whole, so that
    /// nothing was done.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] when a whole line does not make sense or the format is another one.
    pub fn read(text: &str) -> Result<Option<Self>, Error> {
        let whole = text
            .rfind('\n')
            .map_or("", |end| text.get(..end).unwrap_or_default());
        let mut lines = whole.lines();
        let Some(first) = lines.next() else {
            return Ok(None);
        };
        let mut journal = Journal {
            header: header(first)?,
            entries: Vec::new(),
            begun: 0,
            released: Vec::new(),
            beside: Vec::new(),
            renamed: Vec::new(),
            made: BTreeMap::new(),
            undoing: false,
            complete: false,
        };
        let mut is_planned = false;
        let mut list = List::default();
        for line in lines {
            match serde_json::from_str(line).map_err(|error| damaged(&error))? {
                Line::Step(entry) => list.entries.push(*entry),
                Line::Release(fact) => list.released.push(fact),
                Line::SideEffect(claim) => list.beside.push(*claim),
                Line::Renamed(record) => list.renamed.push(*record),
                Line::Planned { lines } if lines == list.len() => {
                    is_planned = true;
                    journal.add(std::mem::take(&mut list));
                }
                Line::Planned { lines } => {
                    let message = format!("a list of {lines} lines has {}", list.len());
                    return Err(damaged(&message));
                }
                Line::Begun { step } if step == journal.begun + 1 && step <= journal.entries.len() => {
                    journal.begun = step;
                }
                Line::Begun { step } => {
                    let (begun, all) = (journal.begun, journal.entries.len());
                    return Err(damaged(&format!(
                        "step {step} of {all} begins after step {begun}"
                    )));
                }
                Line::Complete { made } => {
                    journal.complete = true;
                    journal.made = made;
                }
                Line::Undoing {} => journal.undoing = true,
            }
        }
        Ok(is_planned.then_some(journal))
    }

    fn add(&mut self, list: List) {
        self.entries.extend(list.entries);
        self.released.extend(list.released);
        self.beside.extend(list.beside);
        self.renamed.extend(list.renamed);
    }

    /// The ops that undo what may have been executed, those of a step together, the last step first.
    /// Each may be done although its op was not: it then changes nothing.
    pub fn undo(&self) -> impl Iterator<Item = &[Op]> {
        let begun = self.begun_entries().rev();
        begun.map(|entry| entry.undo.ops.as_slice())
    }

    /// The steps that may have been executed.
    pub fn begun_entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().take(self.begun)
    }

    /// The steps that finish it, each with its number. The one that was begun last is done again.
    pub fn rest(&self) -> impl Iterator<Item = (usize, &Entry)> {
        (1..).zip(&self.entries).skip(self.begun.saturating_sub(1))
    }

    /// The facts that its owner holds when it is finished.
    pub fn claims(&self) -> impl Iterator<Item = OwnershipRecord> {
        let following = self.beside.iter().filter(|record| record.follows_forwarding());
        let following: BTreeSet<&Fact> = following.map(|record| &record.fact).collect();
        let written = (self.entries.iter())
            .filter(move |entry| entry.desired.is_some() && !following.contains(&entry.fact));
        let claims = written.map(|entry| OwnershipRecord {
            fact: entry.fact.clone(),
            device: entry.device,
            owner: self.header.owner.clone(),
            found: entry.found.clone(),
            wrote: entry.desired.clone(),
            caused_by: None,
        });
        let renamed = self.renamed.iter().cloned();
        let claims = renamed.chain(claims).chain(self.beside.iter().cloned());
        claims.map(|claim| claim.on_made(&self.made))
    }

    /// The apply, for messages.
    pub(crate) fn name(&self) -> String {
        let Header { owner, actor, .. } = &self.header;
        format!("an apply for the owner {owner} by {actor}")
    }

    /// Its state, for messages about an apply that did not end.
    pub fn describe(&self) -> String {
        format!(
            "{} was interrupted after {} of {} writes",
            self.name(),
            self.begun,
            self.entries.len()
        )
    }
}

/// A list of steps while it is read.
#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    released: Vec<Fact>,
    beside: Vec<OwnershipRecord>,
    renamed: Vec<OwnershipRecord>,
}

impl List {
    fn len(&self) -> usize {
        self.entries.len() + self.released.len() + self.beside.len() + self.renamed.len()
    }
}

/// The header. Its format is read first: another format may have other keys.
pub fn header(line: &str) -> Result<Header, Error> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let wrong = |error: serde_json::Error| damaged(&error);
    let Version { format } = serde_json::from_str(line).map_err(wrong)?;
    if format != FORMAT {
        let message = format!("the journal has format {format}; this netkeel reads format {FORMAT}");
        return Err(Error::new(ErrorKind::Unreadable, message).hint("use the netkeel that wrote it"));
    }
    serde_json::from_str(line).map_err(wrong)
}

fn damaged(why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unreadable, format!("the journal is damaged: {why}"))
        .hint("what that apply did cannot be told any more: look at the host, and then remove the file")
}

#[cfg(test)]
mod tests;
