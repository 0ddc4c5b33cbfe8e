//! Copies of the last good document, peers and policies, for a time without newer ones; evictions; and what a restart left.

mod accepted;
mod cluster_peers;
mod evictions;
mod last_good;
pub mod left_rules;
pub mod policies;
