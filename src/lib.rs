//! netkeel keeps a Linux host's network path settings true to a declared state.

pub mod document;
pub mod error;
pub mod fact;
pub mod kernel;
pub mod link_name;
pub mod netns;
pub mod op;
pub mod rpfilter;
pub mod snapshot;
pub mod source;
pub mod sysctl_key;
pub mod tunnel_mode;
