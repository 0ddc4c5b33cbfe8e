//! MTU arithmetic: layers of encapsulation, budgets, and their detection on a host.

pub mod budget;
mod cni;
pub mod convention;
pub mod detect;
pub mod encapsulation;
pub mod header;
pub mod judge;
pub mod layer;
mod nodes;
mod parse;
pub mod pods;
pub mod probe;
#[cfg(test)]
mod tests;
pub mod underlay;
