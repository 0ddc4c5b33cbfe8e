//! Text: escaping, quoting, numbers, durations, glob patterns, spelling suggestions.

pub mod duration;
pub mod escape;
pub(crate) mod from_str;
pub mod glob;
pub mod list;
pub mod number;
pub mod shell;
pub mod suggest;
