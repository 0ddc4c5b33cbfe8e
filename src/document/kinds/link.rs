//! The kind `link`.

pub(crate) mod kind;
mod resolve;
mod rule;
