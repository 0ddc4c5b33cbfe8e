//! Explains the origin of a setting's value.

pub mod combine;
pub mod holder;
pub mod inputs;
pub mod key;
pub mod link;
pub mod writer;
