//! The watchdog: undoes an apply that nobody confirms, also when the session and netkeel itself are dead by
//! then, and when nothing can be written down.

pub mod arm;
pub(crate) mod copies;
pub(crate) mod fd_store;
pub mod handover;
pub mod keep;
mod over;
mod watched;
