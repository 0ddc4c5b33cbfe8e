//! WireGuard configuration files as text, and handshakes.

pub mod conf;
pub mod copy;
pub mod endpoint;
pub mod handshake;
