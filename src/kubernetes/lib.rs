//! Follows a Kubernetes cluster: the peers of the worker, and the policies of a node. It writes the state of that node
//! and nothing else.

pub mod connection;
pub mod follow;
mod node;
pub mod node_state;
mod pause;
mod peer_set;
pub mod policies;
mod slice;
mod trouble;
mod written;
