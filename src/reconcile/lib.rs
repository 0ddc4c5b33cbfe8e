//! Decides which part of the host to scan and when, as a state machine without I/O. Holds the status of the
//! service as data.

pub mod debounce;
pub mod event;
pub mod links;
pub mod pass_result;
pub mod rate_limiter;
pub mod reconciler;
pub mod status;
pub mod suspended;
#[cfg(test)]
mod tests;
mod turn;
