//! The running kernel as a `Kernel`.

mod execute;
mod peer_routes;
pub mod snapshot;
pub mod underlay;
