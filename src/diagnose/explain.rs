//! Explains where the value of a setting comes from.

pub mod combine;
pub mod holder;
pub mod inputs;
pub mod key;
pub mod link;
pub mod writer;
