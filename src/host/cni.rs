//! CNI configurations: reading and editing them, and finding the one that the runtime loads.

pub mod configuration;
pub mod conflist;
mod go;
pub mod plugin_type;
pub mod program;
pub mod runtime;
pub mod state;
