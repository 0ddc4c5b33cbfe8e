//! The kinds of a document. A new kind is one file here, one line in [`KINDS`] and one case below
//! `testinfra/cases`.

use std::fmt::Debug;

use crate::shape::Field;
use crate::want::wants::Wants;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;

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
    pub(crate) any_sysctl: bool,
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
