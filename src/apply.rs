//! Apply: plan, execute, look again. An op that fails stops it, and what was done is undone in
//! reverse; what is left over is then said exactly.

use std::collections::BTreeSet;

use crate::document::Document;
use crate::error::{Diagnostics, Error, ErrorKind};
use crate::kernel::Kernel;
use crate::link_name::LinkName;
use crate::op::Op;
use crate::plan::{Plan, Step, plan};
use crate::snapshot::{Problem, Snapshot};

/// What an apply may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permissions {
    /// Ops whose undo does not bring everything back.
    pub lossy: bool,
}

/// An apply that did what the document says.
#[derive(Debug)]
pub struct Applied {
    /// The plan as it was before anything was written.
    pub plan: Plan,
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
    /// The host could not be looked at before anything was written.
    Unobserved(Error),
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
    /// What could not be undone and why: these commands remain. Empty when all is as it was.
    pub remaining: Vec<(Op, Error)>,
    /// What undoing does not bring back.
    pub lost: Vec<String>,
}

/// Makes the host as the document says, or leaves it as it was. `progress` is told the number of
/// ops done and the number of all.
///
/// # Errors
/// See [`Failure`].
pub fn apply(
    document: &Document,
    kernel: &mut dyn Kernel,
    may: Permissions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Applied, Failure> {
    let scope = document.scope();
    let before = kernel.snapshot(&scope).map_err(Failure::Unobserved)?;
    let first = plan(document, &before).map_err(Failure::Invalid)?;
    if !first.problems.is_empty() {
        return Err(Failure::Unread(first.problems));
    }
    if !may.lossy && first.lossy().next().is_some() {
        return Err(Failure::Lossy(Box::new(first)));
    }
    let mut run = Run {
        kernel,
        done: Vec::new(),
        vanished: BTreeSet::new(),
    };
    if first.is_empty() {
        return Ok(Applied {
            plan: first,
            done: 0,
            vanished: Vec::new(),
        });
    }
    if let Err(cause) = run.steps(&first.steps, progress) {
        return Err(run.roll_back(cause));
    }
    let rest = match run.look_again(document, &before) {
        Ok(rest) => rest,
        Err(cause) => return Err(run.roll_back(cause)),
    };
    if !rest.is_empty() {
        let outcome = run
            .steps(&rest.steps, progress)
            .and_then(|()| run.nothing_left(document, &before));
        if let Err(cause) = outcome {
            return Err(run.roll_back(cause));
        }
    }
    Ok(Applied {
        plan: first,
        done: run.done.len(),
        vanished: run.vanished.into_iter().collect(),
    })
}

/// The ops of one apply as they are done.
struct Run<'a> {
    kernel: &'a mut dyn Kernel,
    done: Vec<Step>,
    vanished: BTreeSet<LinkName>,
}

impl Run<'_> {
    fn steps(&mut self, steps: &[Step], progress: &mut dyn FnMut(usize, usize)) -> Result<(), Error> {
        for (number, step) in steps.iter().enumerate() {
            progress(number, steps.len());
            match self.kernel.execute(&step.op) {
                Ok(()) => self.done.push(step.clone()),
                Err(error) if error.kind == ErrorKind::Missing && !step.named => {
                    self.vanished.extend(step.fact.link_name());
                }
                Err(error) => return Err(error.context(&step.op)),
            }
        }
        progress(steps.len(), steps.len());
        Ok(())
    }

    /// Looks again. What is left may only be on interfaces that came meanwhile: they get one more
    /// pass, whose steps are returned.
    fn look_again(&mut self, document: &Document, before: &Snapshot) -> Result<Plan, Error> {
        let now = self.kernel.snapshot(&document.scope())?;
        let rest = plan(document, &now).map_err(|diagnostics| changed_meanwhile(&diagnostics))?;
        let newcomer = |step: &&Step| match step.fact.link_name() {
            Some(name) => {
                let index = |host: &Snapshot| host.links.get(&name).map(|link| link.index);
                !step.named && index(before) != index(&now)
            }
            None => false,
        };
        let left: Vec<&Step> = rest.steps.iter().filter(|step| !newcomer(step)).collect();
        if left.is_empty() {
            Ok(rest)
        } else {
            Err(not_converged(&rest))
        }
    }

    fn nothing_left(&mut self, document: &Document, before: &Snapshot) -> Result<(), Error> {
        self.look_again(document, before).map(|_| ())
    }

    fn roll_back(self, cause: Error) -> Failure {
        let mut undone = Vec::new();
        let mut remaining = Vec::new();
        let mut lost = Vec::new();
        for step in self.done.into_iter().rev() {
            for op in step.undo.ops {
                match self.kernel.execute(&op) {
                    Ok(()) => undone.push(op),
                    // A device that went away took with it what was to be undone.
                    Err(error) if error.kind == ErrorKind::Missing => {}
                    Err(error) => remaining.push((op, error)),
                }
            }
            lost.extend(step.undo.loses);
        }
        Failure::Failed(Box::new(Rollback {
            cause,
            undone,
            remaining,
            lost,
        }))
    }
}

fn changed_meanwhile(diagnostics: &Diagnostics) -> Error {
    let first = diagnostics
        .list
        .first()
        .map(|diagnostic| diagnostic.message.as_str())
        .unwrap_or_default();
    Error::new(
        ErrorKind::Refused,
        format!("the host changed while the document was applied: {first}"),
    )
}

fn not_converged(rest: &Plan) -> Error {
    let fields: Vec<String> = rest
        .drift
        .iter()
        .take(5)
        .map(|drift| {
            let (is, should) = (
                drift.fact.show(drift.observed.as_ref()),
                drift.fact.show(Some(&drift.desired)),
            );
            format!("{} is {is} and should be {should}", drift.fact)
        })
        .collect();
    let more = rest.drift.len().saturating_sub(fields.len());
    let more = if more > 0 {
        format!(" (and {more} more)")
    } else {
        String::new()
    };
    Error::new(
        ErrorKind::Refused,
        format!("after everything was written, {}{more}", fields.join("; ")),
    )
    .hint("another program writes it too, or the kernel keeps another value than it is given")
}
