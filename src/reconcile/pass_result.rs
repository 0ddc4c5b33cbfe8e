//! The result of one pass.

use crate::event::Outcome;
use netkeel_plan::goal::planned::Observation;
use netkeel_plan::outcome::Rollback;
use netkeel_plan::plan::Plan;

/// What a pass came to, to be told.
#[derive(Debug)]
pub struct PassResult {
    /// For the state machine.
    pub outcome: Outcome,
    /// What it saw, when it came so far.
    pub seen: Option<Observation>,
    /// The plan, when it came so far.
    pub plan: Option<Plan>,
    /// How many writes it did.
    pub writes: usize,
    /// Why it failed.
    pub failure: Option<String>,
    /// How it was undone.
    pub rollback: Option<Box<Rollback>>,
}

impl PassResult {
    /// A pass that failed for `why` before it planned anything.
    pub fn failed(outcome: Outcome, why: impl Into<String>) -> Self {
        PassResult {
            outcome,
            seen: None,
            plan: None,
            writes: 0,
            failure: Some(why.into()),
            rollback: None,
        }
    }
}
