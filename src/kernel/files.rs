//! Files: read with limits, written atomically.

pub(crate) mod cni;
pub(crate) mod file;
pub mod openers;
pub mod private;
pub mod proc_counters;
mod proc_sockets;
pub mod read;
pub mod root;
