//! Writes machine configuration patches and Kubernetes manifests.

pub mod cozystack;
pub mod machine;
pub mod patches;
