//! Follows a Kubernetes cluster. The API server is asked and watched; nothing is written to it.

pub mod follow;
mod node;
mod peer_set;
mod slice;
mod trouble;
