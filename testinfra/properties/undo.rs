//! An apply that succeeded and is undone later leaves the host and the records of owners as they were.

use std::collections::BTreeMap;

use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::Value;

use super::{APPLIED, Reached, because, hold, planned, reached, same};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::session::{Log, Session, Unlogged, Unwatched};
use netkeel_core::error::Error;
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_host::model::kernel::ModelKernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::goal::Goal;
use netkeel_plan::goal::undo::{AppliedValues, UndoApply};
use netkeel_plan::ledger::Ledger;
use netkeel_plan::loss::Loss;
use netkeel_plan::plan::{Plan, Step};

/// Keeps the values of an apply, as the log of a real one does, and its effect on the ledger.
struct Keeping<'a> {
    before: &'a Ledger,
    values: Option<AppliedValues>,
    after: Ledger,
}

impl<'a> Keeping<'a> {
    fn new(before: &'a Ledger) -> Self {
        Keeping {
            before,
            values: None,
            after: before.clone(),
        }
    }
}

impl Log for Keeping<'_> {
    fn begin(&mut self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }
    fn add(&mut self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }
    fn mark(&mut self, _: &Step) -> Result<(), Error> {
        Ok(())
    }
    fn commit(&mut self, plans: &[&Plan], made: &BTreeMap<LinkName, DeviceId>) -> Result<(), Error> {
        self.values = Some(AppliedValues::new("t1", "default", plans, self.before, made));
        let released: Vec<_> = plans.iter().flat_map(|plan| &plan.released).collect();
        let claims = plans.iter().flat_map(|plan| plan.claims());
        let claims = claims.map(|claim| claim.on_made(made));
        let all = self.before.claims().cloned().chain(claims);
        self.after = all.filter(|claim| !released.contains(&&claim.fact)).collect();
        Ok(())
    }
    fn undoing(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn undone(&mut self, _: &[&Plan], _: &Error) -> Result<(), Error> {
        Ok(())
    }
}

/// Returns the steps that were done.
fn run(goal: &dyn Goal, kernel: &mut ModelKernel, log: &mut dyn Log) -> Result<Vec<Step>, TestCaseError> {
    let session = Session {
        kernel,
        log,
        lossy: true,
        watch: &mut Unwatched,
    };
    apply(goal, session)
        .outcome
        .map(|applied| applied.planned.plan.steps)
        .map_err(because)
}

fn undone(document: &Value, host: &Snapshot) -> Result<Reached, TestCaseError> {
    let Some((document, plan)) = planned(document, host)? else {
        return Ok(Reached::Refused);
    };
    let mut kernel = ModelKernel::new(host.clone());
    let before = Ledger::default();
    let mut log = Keeping::new(&before);
    run(&document, &mut kernel, &mut log)?;
    let Some(values) = log.values else {
        return Ok(Reached::InSync);
    };
    // A device that a tunnel replaced cannot be made again, so that the undo takes force.
    let replaces = |step: &Step| {
        let mut loses = step.undo.loses.iter();
        loses.any(|lost| matches!(lost, Loss::Device { .. } | Loss::DeviceWith { .. }))
    };
    let goal = UndoApply {
        ledger: &log.after,
        values: &values,
        netns: &host.netns,
        force: plan.steps.iter().any(replaces),
    };
    let mut of_undo = Keeping::new(&log.after);
    // The plan of an undo says too what its writes lose, where the whole host is read.
    let steps = goal.plan(&kernel.model.host).map_err(because)?.plan.steps;
    run(&goal, &mut kernel, &mut of_undo)?;
    same(host, &kernel.model.host, &[plan.steps.clone(), steps].concat())?;
    prop_assert_eq!(of_undo.after.claims().count(), 0);
    let again = run(&goal, &mut kernel, &mut Unlogged)?;
    prop_assert!(again.is_empty(), "undone twice, it writes {again:?}");
    Ok(reached(&plan, Reached::Applied))
}

#[test]
fn the_undo_of_an_apply_restores_the_host() {
    hold(500, APPLIED, undone);
}
