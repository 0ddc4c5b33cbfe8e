//! Suspended facts in the status.

use serde::Serialize;

use crate::event::Now;
use crate::suspended::{Suspension, Why};
use netkeel_core::fact::Fact;

/// A suspended fact.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuspendedStatus {
    /// The fact.
    pub fact: String,
    /// `flaps` or `refused`.
    pub why: &'static str,
    /// The error of the write that failed.
    pub reason: Option<String>,
    /// The number of attempts to write it.
    pub times: u32,
    /// Seconds until the next attempt; 0 while netkeel watches whether it stays in sync.
    pub(crate) again_in: u64,
    /// The programs known to write it too.
    pub writers: Vec<String>,
}

impl SuspendedStatus {
    /// The entry of a suspended fact.
    pub fn new(fact: &Fact, suspension: &Suspension, now: Now, writers: Vec<String>) -> Self {
        let (why, reason) = match &suspension.why {
            Why::Flaps => ("flaps", None),
            Why::Refused(reason) => ("refused", Some(reason.clone())),
        };
        SuspendedStatus {
            fact: fact.to_string(),
            why,
            reason,
            times: suspension.times,
            again_in: suspension.until.saturating_sub(now).as_secs_f64().ceil() as u64,
            writers,
        }
    }
}
