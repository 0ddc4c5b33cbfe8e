//! The desired state.

pub mod shape;
