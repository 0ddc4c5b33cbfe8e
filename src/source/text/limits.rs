//! Limits of a document: bytes, nodes and depth.

/// How deep maps and lists may nest.
pub const MAX_DEPTH: usize = 64;

/// How many values one file may come to, aliases expanded.
pub const MAX_NODES: usize = 2_000_000;

/// How many bytes one file may have.
pub const MAX_BYTES: usize = 16 << 20;
