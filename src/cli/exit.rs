//! Exit codes; what a verb means by them stands in its help.

/// Done, or in sync.
pub const OK: u8 = 0;
/// It could not be done: input, usage, permission, or a wanted fact that could not be read.
pub const ERROR: u8 = 1;
/// Drift (`check`), or changes with `--detailed-exitcode`.
pub const CHANGES: u8 = 2;
/// Failed, and everything was undone.
pub const ROLLED_BACK: u8 = 3;
/// Failed, and so did undoing it.
pub const NOT_ROLLED_BACK: u8 = 4;
/// A bug.
pub const BUG: u8 = 101;
