//! The running kernel as a `Kernel`.

mod execute;
mod machine;
mod peer_routes;
mod route_mtus;
pub mod snapshot;
pub mod underlay;
