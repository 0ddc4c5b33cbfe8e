//! The way of packets through the host, from its configuration: each device with its MTU, what happens to
//! packets that are larger, and the largest packet that passes each way.

pub mod capacity;
pub mod drawing;
mod follow;
pub mod gateway;
pub mod hop;
mod ingress;
pub(crate) mod lookup;
mod mss;
pub mod origin;
pub mod scope;
pub mod select;
mod stack;
pub(crate) mod tunnel;
pub mod unknown;
mod walk;
