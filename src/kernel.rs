//! The one door to the host: a snapshot of the facts a scope names, and the execution of one op.
//! [`Live`] is the real kernel, [`Modelled`] one for tests; all system calls are below here.

mod address;
mod beside;
mod cni;
pub mod events;
mod file;
mod host;
mod ioctl;
mod link;
mod live;
pub mod management;
pub(crate) mod message;
mod model;
mod modules;
pub mod namespace;
mod netconf;
pub(crate) mod netlink;
mod netns;
mod nftables;
mod openers;
pub mod path;
mod pod;
pub mod private;
pub mod reach;
pub(crate) mod refusal;
mod route;
mod sysctl;
mod udev;
mod wireguard;

pub use beside::{Beside, beside};
pub use events::Events;
pub use host::Host;
pub use live::Live;
pub use model::Modelled;
pub use netns::inside;
pub use openers::openers;
pub use pod::{apart, pod_names};
pub use wireguard::Handshake;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Error;
use crate::link_name::LinkName;
use crate::op::Op;
use crate::snapshot::{Link, Scope, Snapshot};

/// What netkeel needs of a kernel: the real one, or the model in tests.
pub trait Kernel {
    /// Reads the facts of a scope. What could not be read is a problem in the snapshot.
    ///
    /// # Errors
    /// When nothing can be read at all: the namespace is gone, netlink is refused.
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error>;

    /// The same where somebody has just heard what the interfaces of the scope are: they are not asked
    /// for. Addresses, drivers and other ends are read all the same.
    ///
    /// # Errors
    /// As [`Kernel::snapshot`].
    fn snapshot_of(
        &mut self,
        scope: &Scope,
        _links: BTreeMap<LinkName, Arc<Link>>,
    ) -> Result<Snapshot, Error> {
        self.snapshot(scope)
    }

    /// Looks again where a look at the same scope showed these interfaces, and nothing of them but MTUs
    /// and settings of IPv4 was written since ([`Plan::is_seen_lightly`](crate::plan::Plan::is_seen_lightly)).
    /// What else is known of them may be taken from there, as long as none came, went or was renamed.
    ///
    /// # Errors
    /// As [`Kernel::snapshot`].
    fn look_again(
        &mut self,
        scope: &Scope,
        _before: &BTreeMap<LinkName, Arc<Link>>,
    ) -> Result<Snapshot, Error> {
        self.snapshot(scope)
    }

    /// Does one op, completely or not at all.
    ///
    /// # Errors
    /// What the kernel said, with [`crate::error::ErrorKind::Missing`] when the interface is gone
    /// or its index bears another name.
    fn execute(&mut self, op: &Op) -> Result<(), Error>;
}
