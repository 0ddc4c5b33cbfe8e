//! One transaction: lock, journal, execute, verify, undo, recover; and what is stored.

pub mod clock;
pub mod engine;
pub mod journal;
pub mod recover;
pub mod store;
mod unique;
pub mod watchdog;
