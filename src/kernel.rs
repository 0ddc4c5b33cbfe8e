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

use crate::error::Error;
use crate::op::Op;
use crate::snapshot::{Scope, Snapshot};

/// What netkeel needs of a kernel: the real one, or the model in tests.
pub trait Kernel {
    /// Reads the facts of a scope. What could not be read is a problem in the snapshot.
    ///
    /// # Errors
    /// When nothing can be read at all: the namespace is gone, netlink is refused.
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error>;

    /// Does one op, completely or not at all.
    ///
    /// # Errors
    /// What the kernel said, with [`crate::error::ErrorKind::Missing`] when the interface is gone
    /// or its index bears another name.
    fn execute(&mut self, op: &Op) -> Result<(), Error>;
}
