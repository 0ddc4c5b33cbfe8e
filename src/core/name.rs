//! Names of the kernel and of netkeel, each a type that only holds what is valid.

pub mod link;
pub mod netns;
pub mod route;
pub mod sandbox;
pub mod sysctl;
pub mod tunnel;
