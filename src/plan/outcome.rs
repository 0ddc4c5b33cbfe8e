//! The outcome of an apply.

use crate::goal::planned::Planned;
use crate::loss::Loss;
use crate::plan::Plan;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_core::op::Op;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::Problem;
use netkeel_source::diagnostic::Diagnostics;

/// An apply whose writes hold.
#[derive(Debug)]
pub struct Applied {
    /// The host as it was before anything was written.
    pub before: Snapshot,
    /// The plan that was applied.
    pub planned: Planned,
    /// The number of ops done, including those of a second pass for new interfaces.
    pub done: usize,
    /// Interfaces that a match had found and that were deleted during the apply.
    pub vanished: Vec<LinkName>,
    /// Declared facts that the apply did not write and that do not hold any more.
    pub new_drift: Vec<NewDrift>,
}

impl Applied {
    /// Whether all that was to be given back is.
    ///
    /// # Errors
    /// When it is not: the writes that were made hold, and the records of the rest stay.
    pub fn restored_all(&self) -> Result<(), Error> {
        let Some((first, others)) = self.planned.plan.unrestored.split_first() else {
            return Ok(());
        };
        let more = match others.len() {
            0 => String::new(),
            more => format!(", nor {more} more"),
        };
        let message = format!("{first} was not restored{more}, and netkeel keeps the record");
        Err(Error::new(ErrorKind::Refused, message).hint("`netkeel release --dry-run` says why"))
    }
}

/// A declared fact that did not hold after an apply, although the apply did not write it: another program
/// changed it meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDrift {
    /// The facts; empty if the host could not be read so far.
    pub facts: Vec<Fact>,
    /// The fault in one sentence without a full stop.
    pub message: String,
}

/// The reason why an apply failed.
#[derive(Debug)]
pub enum Failure {
    /// The document and the host conflict; nothing was written.
    Invalid(Box<Diagnostics>),
    /// Wanted facts could not be read; nothing was written.
    Unread(Vec<Problem>),
    /// The plan loses state, which needs `--allow-lossy`; nothing was written.
    Lossy(Box<Plan>),
    /// The apply could not start: the host could not be scanned, or the journal not written.
    NotBegun(Error),
    /// A step failed. The steps before it were undone as far as possible.
    Failed(Box<Rollback>),
}

/// The rollback of an apply that failed.
#[derive(Debug)]
pub struct Rollback {
    /// The error of the step that failed.
    pub cause: Error,
    /// The ops that were undone, in that order.
    pub undone: Vec<Op>,
    /// The commands that remain, in order, each with the reason why it failed. Empty after a complete
    /// rollback. It includes undo commands that were done and must be repeated ([`AGAIN`]).
    pub remaining: Vec<(Op, Error)>,
    /// State that the rollback does not restore.
    pub lost: Vec<Loss>,
    /// The facts that the error names, if it names any.
    pub blamed: Vec<Fact>,
}

/// The reason why an op that was done remains.
pub const AGAIN: &str = "done, but must be repeated after the command that failed";
