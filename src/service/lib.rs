//! The service: event sources, passes, logs and HTTP.

pub mod client;
mod document;
mod effects;
pub mod http;
mod inbox;
mod load;
pub mod options;
mod pass;
mod probes;
mod report;
pub mod run;
mod service;
mod state;
mod watch;
mod worker;
