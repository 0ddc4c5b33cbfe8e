//! Sysctls below `/proc/sys`.

pub mod list;
pub mod missing;
pub mod tree;
pub(crate) mod udev;
