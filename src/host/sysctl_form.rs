//! The form in which the kernel stores the value of a sysctl: what reads back after a write, and what
//! a write refuses.

pub mod bound;
pub mod handler;
pub mod mask;
mod pair;
mod ports;
pub mod range;
pub mod stored;
