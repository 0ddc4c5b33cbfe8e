//! Bytes to text, and the format of a text.

pub(crate) mod decode;
pub mod format;
pub mod limits;
pub mod secret;
