//! The kinds of a document.

mod cni;
pub mod kind;
mod link;
pub mod mtu;
pub mod nflog;
pub(crate) mod probes;
pub(crate) mod replicate;
pub(crate) mod required;
mod route;
pub mod sysctl;
mod tunnel;
mod wireguard;

use crate::kinds::kind::Kind;

/// All kinds, in the order in which they are documented.
pub const KINDS: &[&dyn Kind] = &[
    &sysctl::Kind,
    &crate::kinds::link::kind::Kind,
    &tunnel::Kind,
    &route::Kind,
    &crate::kinds::nflog::kind::Kind,
    &replicate::Kind,
    &probes::Kind,
    &cni::Kind,
    &wireguard::Kind,
];
