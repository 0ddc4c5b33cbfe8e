//! Paths of packets: as text, as a picture, and as JSON.

pub mod compared;
pub mod json;
pub mod svg;
pub mod text;
pub(crate) mod words;
