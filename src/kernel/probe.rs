//! Packets that netkeel sends to learn about a path.

mod error_queue;
mod packet;
pub mod path;
pub mod path_mtu;
pub mod reach;
mod route_to;
mod socket;
