//! Hiera data.

pub(crate) mod data;
pub mod facts;
pub mod hierarchy;
mod merge;
mod options;
