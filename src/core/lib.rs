//! The core types of netkeel: facts, ops, names, findings and errors. The crate does no I/O, reads no
//! clock and knows no file format.

pub mod cluster_policies;
pub mod error;
pub mod fact;
pub mod finding;
pub mod maybe_secret;
pub mod mtu;
pub mod name;
pub mod nflog;
pub mod op;
pub mod probe;
pub mod replication;
pub mod rp_filter;
pub mod text;
pub mod value;
pub mod wireguard;
