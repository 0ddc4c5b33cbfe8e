//! The parts of an apply that its caller provides: kernel, log and watch.

use std::collections::BTreeMap;

use netkeel_core::error::Error;
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::plan::{Plan, Step};

/// The resources of one apply.
pub struct Session<'a> {
    /// The host.
    pub kernel: &'a mut dyn Kernel,
    /// Keeps what must survive a crash.
    pub log: &'a mut dyn Log,
    /// Ops whose undo does not bring everything back may be done.
    pub lossy: bool,
    /// Looks on.
    pub watch: &'a mut dyn Watch,
}

/// Observes an apply and may refuse or interrupt it.
pub trait Watch {
    /// Receives the number of completed ops and of all ops.
    fn progress(&mut self, _done: usize, _all: usize) {}

    /// Looks at the plan, and at the host that it is for, before anything of it is done.
    ///
    /// # Errors
    /// Nothing is done then.
    fn permits(&mut self, _plan: &Plan, _host: &Snapshot) -> Result<(), Error> {
        Ok(())
    }

    /// Wants it stopped and undone.
    fn stops(&mut self) -> bool {
        false
    }

    /// Looks, after everything was written and before it is committed, whether the host still does
    /// what it should.
    ///
    /// # Errors
    /// The apply is undone then.
    fn accepts(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Nobody looks on.
#[derive(Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// Where an apply writes down what it is about to do.
pub trait Log {
    /// Before anything is done; `plan` is not empty.
    ///
    /// # Errors
    /// Nothing is done then.
    fn begin(&mut self, plan: &Plan) -> Result<(), Error>;

    /// Before the steps of a second pass are done.
    ///
    /// # Errors
    /// The apply is undone then.
    fn add(&mut self, plan: &Plan) -> Result<(), Error>;

    /// The op of a step is not executed now: it is done when somebody confirms the apply.
    fn keeps_back(&self, _step: &Step) -> bool {
        false
    }

    /// Before the op of a step.
    ///
    /// # Errors
    /// The apply is undone then.
    fn mark(&mut self, step: &Step) -> Result<(), Error>;

    /// After everything was done and seen to hold; `plans` are the first and, where newcomers had a
    /// second pass, that one. `made` has the interfaces that they made.
    ///
    /// # Errors
    /// The apply is undone then.
    fn commit(&mut self, plans: &[&Plan], made: &BTreeMap<LinkName, DeviceId>) -> Result<(), Error>;

    /// Before anything is undone.
    ///
    /// # Errors
    /// It is undone all the same.
    fn undoing(&mut self) -> Result<(), Error>;

    /// After everything of `plans` was undone, for `cause`.
    ///
    /// # Errors
    /// The host is as it was, but a later netkeel will undo it again.
    fn undone(&mut self, plans: &[&Plan], cause: &Error) -> Result<(), Error>;

    /// After not everything could be undone.
    fn remains(&mut self, _plans: &[&Plan], _cause: &Error, _left: usize) {}
}

/// Keeps nothing: for tests on a model, where no crash comes.
#[derive(Debug, Default)]
pub struct Unlogged;

impl Log for Unlogged {
    fn begin(&mut self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }
    fn add(&mut self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }
    fn mark(&mut self, _: &Step) -> Result<(), Error> {
        Ok(())
    }
    fn commit(&mut self, _: &[&Plan], _: &BTreeMap<LinkName, DeviceId>) -> Result<(), Error> {
        Ok(())
    }
    fn undoing(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn undone(&mut self, _: &[&Plan], _: &Error) -> Result<(), Error> {
        Ok(())
    }
}
