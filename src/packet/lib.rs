//! ICMP "packet too big": read, filter, limit, copy. The crate decides about hostile bytes without a
//! socket or a clock.

pub mod address;
mod bytes;
pub mod checksum;
pub mod copy;
pub mod filter;
mod ipv4;
mod ipv6;
pub mod limit;
pub mod probe;
pub mod read;
pub mod refused;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
pub mod too_big;
