//! Sysctls below `/proc/sys`.

pub mod missing;
pub mod tree;
pub(crate) mod udev;
