//! The interface to the host: take a snapshot of the facts a scope names, and execute one op.
//! `netkeel-kernel` implements it for the real kernel, and
//! [`ModelKernel`](crate::model::kernel::ModelKernel) for tests. All system calls are below this
//! trait.

use crate::snapshot::Snapshot;
use crate::snapshot::scope::Scope;
use netkeel_core::error::Error;
use netkeel_core::op::Op;

/// The operations that netkeel needs from a kernel: the real one, or the model in tests.
pub trait Kernel {
    /// Reads the facts of a scope. A fact that could not be read is a problem in the snapshot.
    ///
    /// # Errors
    /// When nothing can be read at all: the namespace is gone, netlink is refused.
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error>;

    /// Executes one op, completely or not at all.
    ///
    /// # Errors
    /// The kernel's error; [`netkeel_core::error::ErrorKind::Missing`] when the interface is gone
    /// or its index has another name.
    fn execute(&mut self, op: &Op) -> Result<(), Error>;
}
