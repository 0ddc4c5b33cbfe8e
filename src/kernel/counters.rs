//! The counters of a network namespace: one reader for each source, and the reading that joins them.

pub mod drop_reasons;
mod firewall;
mod links;
mod neighbours;
mod not_read;
mod path_mtus;
mod proc_net;
mod qdiscs;
pub mod reading;
mod sockets;
