//! Netlink sockets and messages.

pub mod message;
pub mod refusal;
pub mod socket;
