//! The kinds of a document. A new kind is one file here, one line in `KINDS` and one case below
//! `testinfra/cases`.

use std::fmt::Debug;

use crate::not_the_host::NotTheHost;
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

    /// Reads the entries, which have the right shape. Checks what a shape cannot express.
    fn read(&self, entries: &Node, context: &mut Context<'_>) -> Box<dyn Section>;
}

/// The context in which a section is read, besides its own entries.
pub struct Context<'a> {
    /// The namespace the document is for.
    pub netns: &'a Netns,
    /// Sysctls outside `net.` are allowed.
    pub(crate) any_sysctl: bool,
    /// Collects errors.
    pub diagnostics: &'a mut Diagnostics,
}

/// The entries of one kind in a document.
pub trait Section: Debug + Send + Sync {
    /// Adds the facts that [`Section::wants`] reads.
    fn scope(&self, scope: &mut Scope);

    /// The interfaces that it creates.
    fn makes(&self) -> Vec<LinkName> {
        Vec::new()
    }

    /// The interfaces whose last handshake the service watches.
    fn handshakes(&self) -> Vec<LinkName> {
        Vec::new()
    }

    /// Whether one of its facts depends on other interfaces of the host: an MTU by a budget, a rule by a pattern.
    /// Or whether a write affects others: IPv6 forwarding of an interface.
    fn has_budgets(&self) -> bool {
        false
    }

    /// Adds the desired state. `host` holds at least the facts that [`Section::scope`] added.
    fn wants(&self, host: &Snapshot, wants: &mut Wants);

    /// Reports what it declares of the whole machine, for a document that must not write that.
    fn is_not_the_hosts(&self, _why: NotTheHost, _diagnostics: &mut Diagnostics) {}

    /// From now on it does not want what is of the whole machine, and says so in a finding: it is unknown
    /// whether this is the host.
    fn withhold(&mut self, _why: NotTheHost) {}

    /// The sysctls that must be set at boot, before netkeel runs.
    fn persistent(&self) -> Vec<(SysctlKey, String)>;
}
