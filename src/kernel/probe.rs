//! Packets that netkeel sends to learn about a path.

pub mod path;
pub mod reach;
