//! The replication that the running service reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::replication::settings::Settings;
use netkeel_core::replication::worker::WorkerHealth;

/// The service's report about its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replicating {
    /// Whether a service runs.
    pub service: bool,
    /// The command line option that keeps the worker from sending, whatever documents say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_by: Option<String>,
    /// The worker's settings; none when there is no worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Whether packets are replicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<WorkerHealth>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
