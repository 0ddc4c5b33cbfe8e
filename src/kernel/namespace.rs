//! Network namespaces.

pub mod enter;
pub mod identity;
