//! CNI configurations: read, edited, and which of them the runtime loads.

pub mod configuration;
pub mod conflist;
mod go;
pub mod runtime;
pub mod state;
