//! A plan and the result of an apply as JSON: formats `netkeel/plan` and `netkeel/applied`.

pub mod diagnostics;
mod groups;
pub(crate) mod names;
pub mod node_state;
pub(crate) mod output;
pub(crate) mod place;
pub mod sarif;

use serde::Serialize;
use serde_json::Value as Json;

use crate::json::names::fact;
use crate::json::output::Outcome;
use netkeel_core::error::Error;
use netkeel_core::finding::Finding;
use netkeel_core::op::Op;
use netkeel_plan::make::FORMAT;
use netkeel_plan::outcome::{Applied, NewDrift, Rollback};
use netkeel_plan::plan::{Drift, Plan, Step};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;

/// The plan. The output is the same for the same document and host.
pub fn plan(plan: &Plan, sources: &Sources) -> Json {
    json(&planned(plan, sources))
}

/// Findings, in the form that a plan has them.
pub fn findings(findings: &[Finding]) -> Json {
    json(&findings.iter().map(finding).collect::<Vec<_>>())
}

/// The result of an apply whose writes hold.
pub fn applied(applied: &Applied, sources: &Sources) -> Json {
    let Applied {
        before: _,
        planned,
        done: writes,
        vanished,
        new_drift,
    } = applied;
    let outcome = match (planned.plan.unrestored.is_empty(), new_drift.is_empty()) {
        (false, _) => Outcome::NotRestored,
        (true, true) => Outcome::Applied,
        (true, false) => Outcome::AppliedWithNewDrift,
    };
    json(&output::Applied {
        writes: *writes,
        vanished,
        new_drift: new_drift.iter().map(drift_of_others).collect(),
        plan: Some(self::planned(&planned.plan, sources)),
        ..ended(outcome, &[])
    })
}

/// The result of an apply that changed nothing.
pub fn refused(errors: &[Error]) -> Json {
    json(&ended(Outcome::Refused, errors))
}

/// The result of an apply whose documents are invalid.
pub fn invalid(errors: &[Error], diagnostics: &Diagnostics, sources: &Sources) -> Json {
    json(&output::Applied {
        diagnostics: diagnostics::list(diagnostics, sources),
        ..ended(Outcome::Refused, errors)
    })
}

/// The result of an apply that failed, with its rollback.
pub fn rolled_back(rollback: &Rollback) -> Json {
    let Rollback {
        cause,
        undone,
        remaining,
        lost,
        blamed,
    } = rollback;
    let result = if remaining.is_empty() {
        Outcome::RolledBack
    } else {
        Outcome::NotRolledBack
    };
    json(&output::Applied {
        undone: undone.iter().map(Op::command).collect(),
        remaining: remaining.iter().map(left).collect(),
        lost: lost.iter().map(ToString::to_string).collect(),
        blamed: blamed.iter().map(fact).collect(),
        ..ended(result, std::slice::from_ref(cause))
    })
}

/// Serializes an output. Types whose maps have only text keys always have a JSON form.
pub(crate) fn json(output: &impl Serialize) -> Json {
    serde_json::to_value(output).unwrap_or_default()
}

fn planned<'a>(plan: &'a Plan, sources: &Sources) -> output::Plan<'a> {
    let mut locator = Locator::new(sources);
    output::Plan {
        format: output::PLAN,
        version: FORMAT,
        owner: &plan.owner,
        netns: plan.netns.name(),
        in_sync: plan.in_sync(),
        wanted: plan.wanted,
        drift: plan.drift.iter().map(|one| drift(one, &mut locator)).collect(),
        groups: groups::groups(plan),
        counts: groups::counts(plan),
        steps: plan.steps.iter().map(step).collect(),
        released: plan.released.iter().map(fact).collect(),
        unrestored: plan.unrestored.iter().map(fact).collect(),
        findings: plan.findings.iter().map(finding).collect(),
        unmatched: plan.unmatched.iter().map(|path| &**path).collect(),
        skipped: plan
            .skipped
            .iter()
            .map(|name| name.stored().into_owned())
            .collect(),
        problems: &plan.problems,
    }
}

fn drift<'a>(drift: &'a Drift, locator: &mut Locator<'_>) -> output::Drift<'a> {
    output::Drift {
        fact: fact(&drift.fact),
        observed: drift.observed.as_ref(),
        desired: drift.desired.as_ref(),
        path: &drift.origin.path,
        derivation: drift.origin.derivation.as_deref(),
        source: locator.locate(drift.origin.span).into(),
        cause: drift.cause.map(groups::cause),
    }
}

fn step(step: &Step) -> output::Step<'_> {
    output::Step {
        phase: step.phase,
        fact: fact(&step.fact),
        command: step.op.to_string(),
        op: &step.op,
        restores: step.restores,
        undo: output::Undo {
            exact: step.undo.loses.is_empty(),
            commands: step.undo.ops.iter().map(ToString::to_string).collect(),
            loses: step.undo.loses.iter().map(ToString::to_string).collect(),
        },
        permitted: step.permitted,
    }
}

pub(crate) fn finding(finding: &Finding) -> output::Finding<'_> {
    output::Finding {
        code: finding.code,
        severity: finding.code.severity(),
        subjects: &finding.subjects,
        message: &finding.message,
        remedy: &finding.remedy,
    }
}

/// The part that the results of all applies share.
fn ended(result: Outcome, errors: &[Error]) -> output::Applied<'_> {
    output::Applied {
        format: output::APPLIED,
        version: FORMAT,
        result,
        errors: errors.iter().map(reason).collect(),
        diagnostics: Vec::new(),
        writes: 0,
        vanished: &[],
        new_drift: Vec::new(),
        undone: Vec::new(),
        remaining: Vec::new(),
        lost: Vec::new(),
        blamed: Vec::new(),
        plan: None,
    }
}

fn drift_of_others(drift: &NewDrift) -> output::NewDrift<'_> {
    output::NewDrift {
        facts: drift.facts.iter().map(fact).collect(),
        message: &drift.message,
    }
}

fn reason(error: &Error) -> output::Reason<'_> {
    output::Reason {
        message: &error.message,
        hints: &error.hints,
    }
}

fn left((op, error): &(Op, Error)) -> output::Remaining<'_> {
    output::Remaining {
        command: op.command(),
        why: &error.message,
    }
}
