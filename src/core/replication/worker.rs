//! Health and status of the worker process.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::replication::settings::Settings;
use crate::replication::statistics::Statistics;

/// The state of replication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerHealth {
    /// No document declares replication.
    Off,
    /// Packets are copied to all peers.
    Ok,
    /// Packets are copied; some peers cannot be reached, or the peers file cannot be read.
    Degraded,
    /// Packets are filtered and counted, but not sent (`dry_run`).
    DryRun,
    /// No packet is copied.
    Failed,
}

/// The status of the worker, for `netkeel status` and for metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// The state of replication.
    pub health: WorkerHealth,
    /// Its process id.
    pub pid: Option<u32>,
    /// The user id that it runs as.
    pub uid: Option<u32>,
    /// The number of restarts.
    pub restarts: u64,
    /// The last error, until it is resolved.
    pub error: Option<String>,
    /// Its current settings, from the document and the peers file.
    pub settings: Option<Settings>,
    /// Its counters since its start.
    pub statistics: Option<Statistics>,
}
