//! Netlink sockets and messages.

pub mod interrupt;
pub mod message;
pub mod refusal;
pub mod socket;
