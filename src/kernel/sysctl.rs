//! Sysctls below `/proc/sys`.

pub mod missing;
pub mod tree;
