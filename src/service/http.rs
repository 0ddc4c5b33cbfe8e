//! HTTP: metrics and health over TCP, the status over a Unix socket that only root can open. Connections
//! are limited in number and time, so that clients cannot slow down the service.

pub(crate) mod answer;
pub mod ask;
pub mod at_once;
pub mod replicas;
pub(crate) mod server;
