//! The replication that the running service reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::replication::settings::Settings;
use netkeel_core::replication::worker::WorkerHealth;

/// What the service of a host says of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replicating {
    /// A service runs.
    pub service: bool,
    /// What of its command line keeps its worker from sending, whatever documents say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_by: Option<String>,
    /// What its worker was told; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Whether packets are replicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<WorkerHealth>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
