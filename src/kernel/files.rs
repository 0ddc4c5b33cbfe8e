//! Files: read with limits, written atomically.

pub(crate) mod cni;
pub(crate) mod file;
pub mod openers;
pub mod private;
pub mod read;
pub mod root;
