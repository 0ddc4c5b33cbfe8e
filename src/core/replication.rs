//! Replication of ICMP "packet too big": settings, limits, and what the worker reports.

pub mod cluster_peers;
pub mod histogram;
pub mod limits;
pub mod node_report;
pub mod probe;
pub mod refusal;
pub mod settings;
pub mod statistics;
pub mod worker;
