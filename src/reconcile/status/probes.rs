//! The results of the probes that the service repeats.

use serde::Serialize;

use netkeel_core::probe::{ProbeName, ProbeResult};

/// A probe of the document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeStatus {
    /// Its name.
    pub name: ProbeName,
    /// The time of the last result, Unix seconds; null before the first.
    pub at: Option<u64>,
    /// The last result; its keys are missing before the first.
    #[serde(flatten)]
    pub result: Option<ProbeResult>,
}

/// The state of a probe, for metrics and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeState {
    /// The result is as expected.
    Ok,
    /// The result is not as expected.
    Failed,
    /// Nobody answered, the packets could not be sent, or there is no result yet.
    Unknown,
}

impl ProbeState {
    /// All states.
    pub const ALL: [ProbeState; 3] = [ProbeState::Ok, ProbeState::Failed, ProbeState::Unknown];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            ProbeState::Ok => "ok",
            ProbeState::Failed => "failed",
            ProbeState::Unknown => "unknown",
        }
    }
}

impl ProbeStatus {
    /// The state.
    pub fn state(&self) -> ProbeState {
        match self.result.as_ref().and_then(|result| result.as_expected) {
            Some(true) => ProbeState::Ok,
            Some(false) => ProbeState::Failed,
            None => ProbeState::Unknown,
        }
    }
}
