//! Writes machine configuration patches and Kubernetes manifests.

pub mod cozystack;
pub mod machine;
mod node;
pub mod patches;
pub mod yaml;
