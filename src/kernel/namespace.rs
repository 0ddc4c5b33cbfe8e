//! Network namespaces.

pub mod enter;
pub mod home;
pub mod identity;
