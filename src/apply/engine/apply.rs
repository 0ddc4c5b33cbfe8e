//! Apply: plan, execute, look again. An op that fails stops it, and what was done is undone in
//! reverse; what is left over is then said exactly.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::second_look::{SecondLook, new_drift};
use crate::engine::session::Session;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_core::value::DeviceKind;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_plan::goal::Goal;
use netkeel_plan::goal::planned::Observation;
use netkeel_plan::outcome::{AGAIN, Applied, Failure, NewDrift, Rollback};
use netkeel_plan::plan::{Plan, Step};

/// How an apply ended.
#[derive(Debug)]
pub struct Ended {
    /// The result: the changes, or the reason for the failure.
    pub outcome: Result<Applied, Failure>,
    /// The observation of the last plan, if its goal makes one ([`Planned::observation`](netkeel_plan::goal::planned::Planned)).
    pub observation: Option<Observation>,
}

/// Makes the host as the document says, or leaves it as it was.
pub fn apply(goal: &dyn Goal, session: Session<'_>) -> Ended {
    let mut observation = None;
    let outcome = attempt(goal, session, &mut observation);
    Ended { outcome, observation }
}

fn attempt(
    goal: &dyn Goal,
    session: Session<'_>,
    observation: &mut Option<Observation>,
) -> Result<Applied, Failure> {
    let before = session
        .kernel
        .snapshot(&goal.scope())
        .map_err(Failure::NotBegun)?;
    let mut planned = goal.plan(&before).map_err(Failure::Invalid)?;
    *observation = planned.observation.take();
    let first = &planned.plan;
    if !first.problems.is_empty() {
        return Err(Failure::Unread(planned.plan.problems));
    }
    if !session.lossy && first.lossy().next().is_some() {
        return Err(Failure::Lossy(Box::new(planned.plan)));
    }
    if first.is_empty() {
        return Ok(Applied {
            before,
            planned,
            done: 0,
            vanished: Vec::new(),
            new_drift: Vec::new(),
        });
    }
    session.watch.permits(first, &before).map_err(Failure::NotBegun)?;
    session.log.begin(first).map_err(Failure::NotBegun)?;
    let second = OnceCell::new();
    let mut run = Run {
        session,
        observation,
        done: Vec::new(),
        failed: None,
        unsettled: Vec::new(),
        new_drift: Vec::new(),
        vanished: BTreeSet::new(),
        made: BTreeMap::new(),
    };
    match run.whole(goal, &before, first, &second) {
        Ok(()) => {
            let (done, vanished) = (run.done.len(), run.vanished.into_iter().collect());
            let new_drift = run.new_drift;
            Ok(Applied {
                before,
                planned,
                done,
                vanished,
                new_drift,
            })
        }
        Err(cause) => {
            let plans: Vec<&Plan> = [first].into_iter().chain(second.get()).collect();
            Err(run.roll_back(cause, goal, &before, &plans))
        }
    }
}

/// The ops of one apply as they are done.
struct Run<'a, 'o, 'p> {
    session: Session<'a>,
    observation: &'o mut Option<Observation>,
    done: Vec<&'p Step>,
    /// The step that failed: some of it may be done.
    failed: Option<&'p Step>,
    /// The facts that were not as they had been written.
    unsettled: Vec<Fact>,
    /// Declared facts that another program changed meanwhile.
    new_drift: Vec<NewDrift>,
    vanished: BTreeSet<LinkName>,
    /// The interfaces that the ops made.
    made: BTreeMap<LinkName, DeviceId>,
}

impl<'p> Run<'_, '_, 'p> {
    /// `second` takes the plan of the second pass, whose steps may have to be undone.
    fn whole(
        &mut self,
        goal: &dyn Goal,
        before: &Snapshot,
        first: &'p Plan,
        second: &'p OnceCell<Plan>,
    ) -> Result<(), Error> {
        self.steps(&first.steps)?;
        let rest = self.look_again(goal, before, &[first])?;
        if !rest.steps.is_empty() {
            let rest = second.get_or_init(|| rest);
            self.session.log.add(rest)?;
            self.steps(&rest.steps)?;
            let left = self.look_again(goal, before, &[rest, first])?;
            // Two passes are enough: interfaces may appear without end.
            self.new_drift.extend(left.drift.iter().map(new_drift));
        }
        self.session.watch.accepts()?;
        let plans: Vec<&Plan> = [first].into_iter().chain(second.get()).collect();
        self.session.log.commit(&plans, &self.made)
    }

    fn steps(&mut self, steps: &'p [Step]) -> Result<(), Error> {
        for (number, step) in steps.iter().enumerate() {
            self.session.watch.progress(number, steps.len());
            if self.session.watch.stops() {
                return Err(Error::new(ErrorKind::Refused, "interrupted by a signal"));
            }
            if self.session.log.keeps_back(step) {
                continue;
            }
            self.session.log.mark(step)?;
            match self.session.kernel.execute(&step.op) {
                Ok(()) => self.done.push(step),
                Err(error) if !step.named && went_with_its_device(self.session.kernel, &step.op, &error) => {
                    self.vanished.extend(step.fact.link_name());
                }
                Err(error) => {
                    self.failed = Some(step);
                    return Err(error.context(&step.op));
                }
            }
        }
        self.session.watch.progress(steps.len(), steps.len());
        Ok(())
    }

    /// Looks again, and returns the steps of another pass.
    fn look_again(&mut self, goal: &dyn Goal, before: &Snapshot, plans: &[&Plan]) -> Result<Plan, Error> {
        let now = self.session.kernel.snapshot(&goal.scope())?;
        for step in self.done.iter().filter(|step| step.op.makes_device()) {
            let made = step.fact.link_name().zip(now.device(&step.fact));
            self.made.extend(made);
        }
        let look = SecondLook {
            before,
            now: &now,
            plans,
            kept_back: &|step| self.session.log.keeps_back(step),
        };
        let judged = match goal.plan_again(&now) {
            Ok(planned) => {
                *self.observation = planned.observation;
                look.split(planned.plan)
            }
            Err(diagnostics) => look.conflict(&diagnostics).map(|found| (nothing(plans), found)),
        };
        match judged {
            Ok((again, new_drift)) => {
                self.new_drift = new_drift;
                Ok(again)
            }
            Err(unsettled) => {
                self.unsettled = unsettled.facts;
                Err(unsettled.error)
            }
        }
    }

    /// The step that failed did something all the same: a file was renamed and its directory not
    /// synced, a device deleted and not made again, an answer lost.
    fn failed_halfway(&mut self, goal: &dyn Goal, before: &Snapshot) -> Option<&'p Step> {
        let failed = self.failed.take()?;
        let now = self.session.kernel.snapshot(&goal.scope());
        let same = now.is_ok_and(|now| now.get(&failed.fact) == before.get(&failed.fact));
        (!same).then_some(failed)
    }

    fn roll_back(mut self, cause: Error, goal: &dyn Goal, before: &Snapshot, plans: &[&Plan]) -> Failure {
        let blamed = self.failed.map(|step| step.fact.clone());
        let halfway = self.failed_halfway(goal, before);
        let Run {
            session,
            mut done,
            unsettled,
            ..
        } = self;
        done.extend(halfway);
        // The host is undone even if the journal cannot be written.
        let _ = session.log.undoing();
        let lost = done
            .iter()
            .flat_map(|step| step.undo.loses.iter().cloned())
            .collect();
        let steps = done.into_iter().rev().map(|step| step.undo.ops.as_slice());
        let (undone, remaining) = undo(session.kernel, steps);
        let mut rollback = Rollback {
            cause,
            undone,
            remaining,
            lost,
            blamed: blamed.into_iter().chain(unsettled).collect(),
        };
        if !rollback.remaining.is_empty() {
            let left = rollback.remaining.len();
            session.log.remains(plans, &rollback.cause, left);
        } else if let Err(error) = session.log.undone(plans, &rollback.cause) {
            rollback.cause = rollback
                .cause
                .hint(format!("the journal could not be closed: {error}"));
        }
        Failure::Failed(Box::new(rollback))
    }
}

/// Undoes steps, each by its ops, whatever becomes of each: what was undone, and what remains. The
/// later ops of a step restore side effects of its first ones. After an op of a step that remains, the later
/// ones of that step must be done again.
pub fn undo<'a>(
    kernel: &mut dyn Kernel,
    steps: impl Iterator<Item = &'a [Op]>,
) -> (Vec<Op>, Vec<(Op, Error)>) {
    let mut undone = Vec::new();
    let mut remaining = Vec::new();
    for ops in steps {
        let before = remaining.len();
        for op in ops {
            let (op, outcome) = execute_wherever(kernel, op);
            let op = op.as_ref();
            match outcome {
                Ok(()) => {
                    undone.push(op.clone());
                    if remaining.len() > before {
                        remaining.push((op.clone(), Error::new(ErrorKind::Refused, AGAIN)));
                    }
                }
                // It is gone already: the write was not done, or the kernel took it away.
                Err(error)
                    if error.kind == ErrorKind::Missing && (removes_what_was_made(op) || is_of_made(op)) => {}
                Err(error) if error.kind == ErrorKind::Refused && stands(kernel, op) => {
                    undone.push(op.clone())
                }
                Err(error) if went_with_its_device(kernel, op, &error) => {}
                Err(error) => remaining.push((op.clone(), error)),
            }
        }
    }
    (undone, remaining)
}

/// Executes an op of an undo on the interface that the op is for, also if that has another name by now: the op that was
/// executed, and what became of it.
fn execute_wherever<'a>(kernel: &mut dyn Kernel, op: &'a Op) -> (Cow<'a, Op>, Result<(), Error>) {
    if let Some(target) = op.target().filter(|target| target.index == 0)
        && !matches!(op, Op::CreateTunnel { .. } | Op::DeleteLink { .. })
    {
        // Only its name is known. netkeel makes no other devices than external tunnels.
        let is_made = |now: Snapshot| now.link(target.name).is_some_and(|link| link.external);
        match kernel.snapshot(&Scope::default()).map(is_made) {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("the tunnel {} that was made is gone", target.name);
                return (Cow::Borrowed(op), Err(Error::new(ErrorKind::Missing, message)));
            }
            Err(unread) => return (Cow::Borrowed(op), Err(unread)),
        }
    }
    let error = match kernel.execute(op) {
        Err(error) if error.kind == ErrorKind::Missing => error,
        outcome => return (Cow::Borrowed(op), outcome),
    };
    // A tunnel that was made is found by its name alone: any other of its kind may be another program's.
    let is_made = matches!(op, Op::DeleteLink { made: Some(_), .. });
    let Some(target) = op.target().filter(|_| !is_made) else {
        return (Cow::Borrowed(op), Err(error));
    };
    let now = match kernel.snapshot(&Scope::default()) {
        Ok(now) => now,
        // It is not known whether it is gone.
        Err(unread) => return (Cow::Borrowed(op), Err(unread)),
    };
    let named = now.by_index(target.index).filter(|_| target.index != 0);
    let renamed = named.filter(|(name, _)| *name != target.name);
    match renamed.and_then(|(name, _)| op.on(name)) {
        Some(op) => {
            let outcome = kernel.execute(&op);
            (Cow::Owned(op), outcome)
        }
        None => (Cow::Borrowed(op), Err(error)),
    }
}

/// Whether an op undoes a write on an interface that was made before: the undo of making it deletes the rest with it, or
/// says why not.
fn is_of_made(op: &Op) -> bool {
    op.target().is_some_and(|target| target.index == 0)
}

/// Whether an op only removes what a write made, so that nothing is left to do where it is gone.
fn removes_what_was_made(op: &Op) -> bool {
    matches!(
        op,
        Op::RemoveAddress { .. } | Op::DeleteLink { made: Some(_), .. }
    )
}

/// Whether the tunnel of an op is there exactly as the op makes it. The op was done before, by a process that
/// was killed before it could write that down.
pub fn stands(kernel: &mut dyn Kernel, op: &Op) -> bool {
    let (Op::CreateTunnel { target, mode } | Op::RecreateTunnel { target, mode }) = op else {
        return false;
    };
    let wanted = DeviceKind::tunnel(*mode);
    let is_wanted = |now: Snapshot| {
        now.links
            .get(&target.name)
            .is_some_and(|link| link.device_kind() == wanted)
    };
    kernel.snapshot(&Scope::default()).is_ok_and(is_wanted)
}

/// Whether a fact was deleted together with its device. A sysctl or a directory may be missing too: then the
/// device exists, or there never was one.
fn went_with_its_device(kernel: &mut dyn Kernel, op: &Op, error: &Error) -> bool {
    let Some(target) = op.target().filter(|_| error.kind == ErrorKind::Missing) else {
        return false;
    };
    kernel.snapshot(&Scope::default()).is_ok_and(|now| {
        let found = now.links.get(&target.name);
        found.is_none_or(|link| target.index != 0 && link.index != target.index)
    })
}

/// A plan without anything to do.
fn nothing(plans: &[&Plan]) -> Plan {
    match plans.first() {
        Some(plan) => Plan::empty(&plan.owner, plan.netns.clone()),
        None => Plan::empty("", Netns::CURRENT),
    }
}
