//! Explains the origin of a setting's value.

pub mod combine;
pub mod declared;
pub mod field;
pub mod holder;
pub mod inputs;
pub mod key;
pub mod link;
pub mod writer;
