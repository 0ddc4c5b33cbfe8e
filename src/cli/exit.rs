//! Exit codes; what a verb means by them stands in its help.

/// Done, or in sync.
pub(crate) const OK: u8 = 0;

/// It could not be done: input, usage, permission, or a wanted fact that could not be read.
pub(crate) const ERROR: u8 = 1;

/// Drift (`check`), or changes with `--detailed-exitcode`.
pub(crate) const CHANGES: u8 = 2;

/// Failed, and everything was undone.
pub(crate) const ROLLED_BACK: u8 = 3;

/// Failed, and so did undoing it.
pub(crate) const NOT_ROLLED_BACK: u8 = 4;

/// A bug.
pub(crate) const BUG: u8 = 101;
