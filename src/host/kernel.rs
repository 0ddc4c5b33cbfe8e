//! The one door to the host: a snapshot of the facts a scope names, and the execution of one op.
//! [`Live`] is the real kernel, [`Modelled`] one for tests; all system calls are below here.

use crate::snapshot::Snapshot;
use crate::snapshot::scope::Scope;
use netkeel_core::error::Error;
use netkeel_core::op::Op;

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
    /// What the kernel said, with [`netkeel_core::error::ErrorKind::Missing`] when the interface is gone
    /// or its index bears another name.
    fn execute(&mut self, op: &Op) -> Result<(), Error>;
}
