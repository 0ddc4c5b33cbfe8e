//! netkeel keeps a Linux host's network path settings true to a declared state.

pub mod apply;
pub mod cli;
pub mod kernel;
pub mod store;
// ---------------- nothing below does I/O or reads a clock ----------------
pub mod document;
pub mod duration;
pub mod error;
pub mod fact;
pub mod finding;
pub mod journal;
pub mod ledger;
pub mod link_name;
pub mod lint;
pub mod netns;
pub mod op;
pub mod persist;
pub mod plan;
pub mod render;
pub mod resource;
pub mod rpfilter;
pub mod saved_plan;
pub mod selector;
pub mod snapshot;
pub mod source;
pub mod sysctl_key;
pub mod tunnel_mode;
pub mod want;
