//! The service: event sources, passes, logs and HTTP.

pub mod client;
mod document;
mod http;
mod load;
mod log;
mod notify;
pub mod options;
mod pass;
mod report;
pub mod run;
mod service;
mod view;
mod watch;
mod worker;
mod writers;
