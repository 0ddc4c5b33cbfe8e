//! Packets that netkeel sends to learn about a path.

pub mod declared;
pub mod encapsulated;
mod error_queue;
mod packet;
pub mod path;
pub mod path_mtu;
pub mod reach;
mod route_to;
mod segment;
mod socket;
pub mod too_big;
