//! The desired state.

pub mod check;
pub mod shape;
pub mod suggestion;
