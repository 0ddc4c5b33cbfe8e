//! Follows a Kubernetes cluster: the peers of the worker, and the policies of a node. It writes the state of that node, its
//! Leases and its events, and evicts pods; nothing else.

pub mod connection;
pub mod events;
pub mod evictions;
pub mod follow;
mod lease;
mod node;
pub mod node_state;
pub mod objects;
mod pause;
mod peer_set;
pub mod policies;
mod slice;
pub mod slots;
mod trouble;
mod written;
