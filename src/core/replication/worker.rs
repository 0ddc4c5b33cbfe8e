//! Health and status of the worker process.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::replication::settings::Settings;
use crate::replication::statistics::Statistics;

/// Whether packets are replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerHealth {
    /// No document declares replication.
    Off,
    /// Packets are copied to all peers.
    Ok,
    /// Packets are copied; some peers cannot be reached, or the file of peers cannot be read.
    Degraded,
    /// Packets are checked and counted, and not sent (`dry_run`).
    DryRun,
    /// No packet is copied.
    Failed,
}

/// All that is known of the worker, for `netkeel status` and for metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// Whether packets are replicated.
    pub health: WorkerHealth,
    /// Its process.
    pub pid: Option<u32>,
    /// The user that it runs as.
    pub uid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// The last thing that went wrong, until it works again.
    pub error: Option<String>,
    /// What it was told: the document, and its file of peers.
    pub settings: Option<Settings>,
    /// What it has done since it was started.
    pub statistics: Option<Statistics>,
}
