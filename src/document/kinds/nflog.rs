//! The kind `nflog`.

pub mod entry;
pub(crate) mod kind;
mod wants;
