//! Misconfigurations of a host, and the effects of a plan.

pub mod cni;
mod combined;
mod encapsulation;
mod forwarding;
pub mod host;
mod mtu;
pub mod plan;
mod pmtud;
mod rearmed;
mod replication;
mod rp_effect;
mod rp_filter;
mod side_effect;
mod sysctl_d;
pub(crate) mod tunnels;
pub(crate) mod wireguard;
