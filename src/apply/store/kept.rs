//! What was good last, for a time without something better.

mod cluster_peers;
mod last_good;
pub mod policies;
