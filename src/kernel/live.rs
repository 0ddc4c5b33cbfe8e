//! The running kernel as a `Kernel`.

mod execute;
pub mod snapshot;
pub mod underlay;
