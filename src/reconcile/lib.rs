//! When to scan what: a state machine without I/O; and the status of the service as data.

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
