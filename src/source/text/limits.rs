//! Limits of a document: bytes, nodes and depth.

/// The maximum depth of nested maps and lists.
pub const MAX_DEPTH: usize = 64;

/// The maximum number of values in one file, with aliases expanded.
pub const MAX_NODES: usize = 2_000_000;

/// The maximum size of one file in bytes.
pub const MAX_BYTES: usize = 16 << 20;
