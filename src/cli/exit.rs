//! Exit codes. The help of each verb lists the codes it uses.

/// Success, or in sync.
pub(crate) const OK: u8 = 0;

/// Error: bad input, usage, permission, or state that could not be read.
pub(crate) const ERROR: u8 = 1;

/// Drift (`check`), or changes with `--detailed-exitcode`.
pub(crate) const CHANGES: u8 = 2;

/// Failed and rolled back.
pub(crate) const ROLLED_BACK: u8 = 3;

/// Failed, and rolling back failed too.
pub(crate) const NOT_ROLLED_BACK: u8 = 4;

/// Applied, but another program changed other declared facts meanwhile.
pub(crate) const NEW_DRIFT: u8 = 5;

/// A panic, which is a bug in netkeel.
pub(crate) const BUG: u8 = 101;
