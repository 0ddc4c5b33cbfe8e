//! The result of one pass.

use crate::event::Outcome;
use netkeel_plan::goal::planned::Observation;
use netkeel_plan::outcome::Rollback;
use netkeel_plan::plan::Plan;

/// The result of a pass, for the state machine, the log and the status.
#[derive(Debug)]
pub struct PassResult {
    /// The outcome for the state machine.
    pub outcome: Outcome,
    /// The observation, if the pass completed its scan.
    pub seen: Option<Observation>,
    /// The plan, if the pass completed it.
    pub plan: Option<Plan>,
    /// The id of the apply, of a pass that wrote.
    pub id: Option<String>,
    /// The number of writes done.
    pub writes: usize,
    /// The error of a pass that failed.
    pub failure: Option<String>,
    /// The rollback of a pass that failed.
    pub rollback: Option<Box<Rollback>>,
}

impl PassResult {
    /// The result of a pass that failed with `why` before it planned anything.
    pub fn failed(outcome: Outcome, why: impl Into<String>) -> Self {
        PassResult {
            outcome,
            seen: None,
            plan: None,
            id: None,
            writes: 0,
            failure: Some(why.into()),
            rollback: None,
        }
    }
}
