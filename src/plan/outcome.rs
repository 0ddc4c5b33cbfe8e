//! The outcome of an apply.

use crate::goal::planned::Planned;
use crate::loss::Loss;
use crate::plan::Plan;
use netkeel_core::error::Error;
use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_core::op::Op;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::Problem;
use netkeel_source::diagnostic::Diagnostics;

/// An apply that did what the document says.
#[derive(Debug)]
pub struct Applied {
    /// The host as it was before anything was written.
    pub before: Snapshot,
    /// What was planned for it.
    pub planned: Planned,
    /// Ops done, those of a second pass for newcomers included.
    pub done: usize,
    /// Interfaces that a match had found and that went away meanwhile.
    pub vanished: Vec<LinkName>,
}

/// An apply that did not.
#[derive(Debug)]
pub enum Failure {
    /// The document and the host do not go together; nothing was written.
    Invalid(Box<Diagnostics>),
    /// Wanted facts could not be read; nothing was written.
    Unread(Vec<Problem>),
    /// The plan loses what only `--allow-lossy` permits to lose; nothing was written.
    Lossy(Box<Plan>),
    /// It could not be begun: the host could not be looked at, the journal not be written.
    NotBegun(Error),
    /// Something failed, and what had been done was undone as far as could be.
    Failed(Box<Rollback>),
}

/// How an apply that failed was undone.
#[derive(Debug)]
pub struct Rollback {
    /// What failed.
    pub cause: Error,
    /// What was undone, in the order in which it was.
    pub undone: Vec<Op>,
    /// What could not be undone and why: these commands remain, in this order. Empty when all is as
    /// it was. What was done and is to be done again ([`AGAIN`]) is among them.
    pub remaining: Vec<(Op, Error)>,
    /// What undoing does not bring back.
    pub lost: Vec<Loss>,
    /// The facts that it failed at, where it is told by them.
    pub blamed: Vec<Fact>,
}

/// Why an op remains that was done.
pub const AGAIN: &str = "it was done, and is to be done again after what failed";
