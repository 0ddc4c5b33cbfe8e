//! Links, addresses and routes by rtnetlink.

pub(crate) mod address;
pub(crate) mod announced;
pub mod events;
pub(crate) mod forwarding;
pub(crate) mod link;
pub(crate) mod link_change;
#[cfg(test)]
mod link_tests;
pub(crate) mod macs;
pub(crate) mod metrics;
pub(crate) mod next_hop_objects;
pub(crate) mod next_hops;
pub(crate) mod route;
pub(crate) mod route_change;
mod route_filter;
pub(crate) mod route_row;
