//! Copies of the last good document, peers and policies, for a time without newer ones.

mod cluster_peers;
mod last_good;
pub mod policies;
