//! The kinds of a document. A new kind is one file here, one line in [`KINDS`] and one case below
//! `testinfra/cases`.

pub mod cni;
pub mod link;
pub mod mtu;
pub mod nflog;
pub mod replicate;
pub mod sysctl;
pub mod tunnel;
pub mod wireguard;

use std::fmt::Debug;

use crate::document::shape::Field;
use crate::error::Diagnostics;
use crate::link_name::LinkName;
use crate::netns::Netns;
use crate::snapshot::{Scope, Snapshot};
use crate::source::Node;
use crate::sysctl_key::SysctlKey;
use crate::want::Wants;

/// All kinds, in the order in which they are documented.
pub const KINDS: &[&dyn Kind] = &[
    &sysctl::Kind,
    &link::Kind,
    &tunnel::Kind,
    &nflog::Kind,
    &replicate::Kind,
    &cni::Kind,
    &wireguard::Kind,
];

/// A kind: a key of the document with entries below it.
pub trait Kind: Sync {
    /// The key, the shape of what is below it, and its description.
    fn field(&self) -> Field;

    /// Takes the entries, which have the right shape; what a shape cannot say is checked here.
    fn read(&self, entries: &Node, context: &mut Context<'_>) -> Box<dyn Section>;
}

/// What reading a section depends on beside its own entries.
pub struct Context<'a> {
    /// The namespace the document is for.
    pub netns: &'a Netns,
    /// Sysctls outside `net.` may be named.
    pub any_sysctl: bool,
    /// Takes what is wrong.
    pub diagnostics: &'a mut Diagnostics,
}

/// The entries of one kind, as a document has them.
pub trait Section: Debug + Send + Sync {
    /// Names the facts that [`Section::wants`] will look at.
    fn scope(&self, scope: &mut Scope);

    /// The interfaces that it makes.
    fn makes(&self) -> Vec<LinkName> {
        Vec::new()
    }

    /// The interfaces whose last handshake the service watches.
    fn handshakes(&self) -> Vec<LinkName> {
        Vec::new()
    }

    /// An MTU among its entries is a budget over what the host has.
    fn has_budgets(&self) -> bool {
        false
    }

    /// Says what the host should be like. `host` holds at least what [`Section::scope`] named.
    fn wants(&self, host: &Snapshot, wants: &mut Wants);

    /// The sysctls that must hold at boot already, before netkeel runs.
    fn persistent(&self) -> Vec<(SysctlKey, String)>;
}
