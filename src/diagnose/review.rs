//! The review of a fleet: the effect of a change of documents on each host, from the snapshots of the hosts. Hosts
//! with the same change are one group.

pub mod class;
pub mod effect;
pub mod fleet;
pub mod found;
pub mod group;
pub mod host;
pub mod inventory;
pub mod names;
#[cfg(test)]
mod tests;
