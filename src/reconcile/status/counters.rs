//! Counters of the service since its start.

use serde::Serialize;

/// Upper bounds of the histogram of pass durations, seconds.
pub const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// Counters since the start of the service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// Passes over any part of the host.
    pub passes: u64,
    /// Passes that wrote facts and verified them.
    pub applies: u64,
    /// Writes of those passes.
    pub writes: u64,
    /// Passes that failed.
    pub failures: u64,
    /// Passes that failed and were undone.
    pub rollbacks: u64,
    /// Passes that failed and whose rollback failed too.
    pub not_rolled_back: u64,
    /// Facts that started to flap.
    pub flaps: u64,
    /// Changes of another program to a CNI configuration that was in sync.
    pub conflist_rewrites: u64,
    /// Netlink receive buffer overruns (ENOBUFS).
    pub events_lost: u64,
    /// Lines of the log that were dropped because standard error did not take them.
    pub log_lines_dropped: u64,
    /// Loads of the document.
    pub loads: u64,
    /// Documents that were rejected.
    pub load_failures: u64,
    /// The number of passes in each bucket of [`BUCKETS`]. The last element counts longer passes.
    #[serde(skip)]
    pub durations: [u64; BUCKETS.len() + 1],
    /// The total duration of all passes, seconds.
    #[serde(skip)]
    pub seconds: f64,
}
