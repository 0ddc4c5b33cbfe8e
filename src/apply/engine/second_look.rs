//! The second look, after everything was written. Every fact that this apply wrote must hold, or the apply is
//! undone. A declared fact that it did not write and that another program changed is reported as new drift.

use std::collections::BTreeSet;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::problem::Subject;
use netkeel_plan::outcome::NewDrift;
use netkeel_plan::plan::{Drift, Plan, Step};
use netkeel_source::diagnostic::Diagnostics;

/// The host before and after the writes, and the plans that were done.
pub(crate) struct SecondLook<'a> {
    /// The host before anything was written.
    pub before: &'a Snapshot,
    /// The host as it is now.
    pub now: &'a Snapshot,
    /// The plans that were done, the last one first.
    pub plans: &'a [&'a Plan],
    /// Whether a step was planned and is done only later.
    pub kept_back: &'a dyn Fn(&Step) -> bool,
}

/// Why an apply is undone: the error, and the facts that are not as they were written.
pub(crate) struct Unsettled {
    pub error: Error,
    pub facts: Vec<Fact>,
}

impl From<Error> for Unsettled {
    fn from(error: Error) -> Self {
        Unsettled {
            error,
            facts: Vec::new(),
        }
    }
}

impl SecondLook<'_> {
    /// The facts that this apply wrote, and those that changed with them.
    fn written(&self) -> BTreeSet<&Fact> {
        let mut written = BTreeSet::new();
        for step in self.plans.iter().flat_map(|plan| &plan.steps) {
            written.insert(&step.fact);
            written.extend(step.changes.iter().map(|change| &change.fact));
        }
        written
    }

    /// Splits what is left to do: the steps for one more pass, and the new drift.
    ///
    /// Another pass is for interfaces that came meanwhile, and for facts that are as they were left while
    /// something else is wanted of them by now, as when the underlay of a budget has changed.
    pub fn split(&self, mut rest: Plan) -> Result<(Plan, Vec<NewDrift>), Unsettled> {
        rest.steps.retain(|step| !(self.kept_back)(step));
        let written = self.written();
        let mut found = self.unread(&rest, &written)?;
        let mut again: BTreeSet<Fact> = BTreeSet::new();
        let mut unsettled: BTreeSet<Fact> = BTreeSet::new();
        let mut others: BTreeSet<Fact> = BTreeSet::new();
        let differs: BTreeSet<&Fact> = rest.drift.iter().map(|drift| &drift.fact).collect();
        let mut with_another: BTreeSet<&Fact> = BTreeSet::new();
        for step in &rest.steps {
            let fact = step.fact.clone();
            if self.is_new(step) || self.has_moved(step, &rest) {
                with_another.extend(step.changes.iter().map(|change| &change.fact));
                again.insert(fact);
            } else if !differs.contains(&fact) {
                // It restores what another step of this plan changes.
                if with_another.contains(&fact) {
                    again.insert(fact);
                }
            } else if written.contains(&fact) {
                unsettled.insert(fact);
            } else {
                others.insert(fact);
            }
        }
        if !unsettled.is_empty() {
            rest.drift.retain(|drift| unsettled.contains(&drift.fact));
            return Err(Unsettled {
                error: not_converged(&rest.drift),
                facts: unsettled.into_iter().collect(),
            });
        }
        let of_others = rest.drift.iter().filter(|drift| others.contains(&drift.fact));
        found.extend(of_others.map(new_drift));
        if !others.is_empty() {
            rest.steps.retain(|step| again.contains(&step.fact));
            rest.drift.retain(|drift| again.contains(&drift.fact));
            let caused = |fact: &Option<Box<Fact>>| fact.as_deref().is_some_and(|fact| again.contains(fact));
            rest.beside
                .retain(|record| caused(&record.caused_by) || again.contains(&record.fact));
        }
        rest.problems.clear();
        Ok((rest, found))
    }

    /// The declared facts that could not be read. A fact that this apply wrote must be among those that were.
    fn unread(&self, rest: &Plan, written: &BTreeSet<&Fact>) -> Result<Vec<NewDrift>, Unsettled> {
        let mut unread = written.iter().filter(|fact| self.now.get(fact) == Lookup::Unread);
        // A fact that the kernel changed with a write may be outside of the scope; then nothing failed.
        let failed = |fact: &&Fact| {
            self.now
                .problems
                .iter()
                .find(|problem| problem.what == Subject::of(fact))
        };
        let first = match rest.problems.first() {
            Some(problem) => unread.next().map(|_| problem),
            None => unread.find_map(failed),
        };
        if let Some(problem) = first {
            let message = format!(
                "after everything was written, {} could not be read: {}",
                problem.what, problem.why
            );
            return Err(Error::new(ErrorKind::Unreadable, message).into());
        }
        let unread = rest.problems.iter().map(|problem| NewDrift {
            facts: Vec::new(),
            message: format!("{} could not be read: {}", problem.what, problem.why),
        });
        Ok(unread.collect())
    }

    /// The new drift where the document and the host cannot be planned again: only if the conflict concerns no
    /// fact that this apply wrote, and all that it wrote holds.
    pub fn conflict(&self, diagnostics: &Diagnostics) -> Result<Vec<NewDrift>, Unsettled> {
        let written = self.written();
        let list = &diagnostics.list;
        let of_others = list
            .iter()
            .all(|one| !one.facts.is_empty() && one.facts.iter().all(|fact| !written.contains(fact)));
        if !of_others || diagnostics.more > 0 {
            return Err(changed_meanwhile(diagnostics).into());
        }
        let steps = self.plans.iter().flat_map(|plan| &plan.steps);
        let kept_back = steps.filter(|step| (self.kept_back)(step));
        let mut known: BTreeSet<&Fact> = kept_back.map(|step| &step.fact).collect();
        for drift in self.plans.iter().flat_map(|plan| &plan.drift) {
            // The last plan that wrote a fact counts.
            if !known.insert(&drift.fact) || self.is_gone(&drift.fact) {
                continue;
            }
            let wanted = drift.desired.clone().map_or(Lookup::Absent, Lookup::Value);
            let is = self.now.get(&drift.fact);
            if is != wanted {
                let drift = Drift {
                    observed: is.value(),
                    ..drift.clone()
                };
                return Err(Unsettled {
                    error: not_converged(std::slice::from_ref(&drift)),
                    facts: vec![drift.fact],
                });
            }
        }
        let conflicts = list.iter().map(|one| NewDrift {
            facts: one.facts.iter().cloned().collect(),
            message: format!("{}: {}", one.path, one.message),
        });
        Ok(conflicts.collect())
    }

    fn is_gone(&self, fact: &Fact) -> bool {
        fact.link_name()
            .is_some_and(|name| !self.now.links.contains_key(&name))
    }

    /// The interface came after the first look.
    fn is_new(&self, step: &Step) -> bool {
        let Some(name) = step.fact.link_name() else {
            return false;
        };
        let index = |host: &Snapshot| host.links.get(&name).map(|link| link.index);
        !step.named && index(self.before) != index(self.now)
    }

    /// The fact is as it was left, and something else is wanted of it by now.
    fn has_moved(&self, step: &Step, rest: &Plan) -> bool {
        let drift = |plan: &Plan| plan.drift.iter().find(|drift| drift.fact == step.fact).cloned();
        let written = self.plans.iter().find_map(|plan| drift(plan));
        let left = written.map_or_else(|| self.before.get(&step.fact).value(), |drift| drift.desired);
        drift(rest).is_some_and(|drift| drift.origin.derivation.is_some() && drift.observed == left)
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

/// A fact that differs and that this apply did not write.
pub(super) fn new_drift(drift: &Drift) -> NewDrift {
    NewDrift {
        facts: vec![drift.fact.clone()],
        message: differs_by(drift),
    }
}

fn differs_by(drift: &Drift) -> String {
    let (is, should) = drift.shown();
    format!("{} is {is} and should be {should}", drift.fact)
}

fn not_converged(drift: &[Drift]) -> Error {
    let shown: Vec<String> = drift.iter().take(5).map(differs_by).collect();
    let more = drift.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(" (and {more} more)")
    } else {
        String::new()
    };
    Error::new(
        ErrorKind::Refused,
        format!("after everything was written, {}{more}", shown.join("; ")),
    )
    .hint("another program writes it too, or the kernel keeps another value than it is given")
}
