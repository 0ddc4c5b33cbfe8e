//! Files: read with limits, written atomically.

pub(crate) mod cni;
pub(crate) mod file;
mod go_build;
pub mod openers;
pub mod plugins;
pub mod private;
pub mod read;
pub mod root;
