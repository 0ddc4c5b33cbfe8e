//! Findings on a host, a document or a plan; explanations; the path of a packet; the diagnosis of lost
//! packets; the report on pods; the result of a probe of replication.

pub mod bundle;
pub mod cluster;
pub mod decapsulation;
pub mod diagnosis;
pub mod explain;
pub mod import;
pub mod lint;
pub mod new_pod;
pub mod owners;
pub mod path;
pub mod pods;
pub mod replicas;
pub mod review;
