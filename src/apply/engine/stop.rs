//! The removal of what an owner has only while its service runs.

use std::collections::BTreeSet;

use crate::engine::apply::apply;
use crate::engine::recorder::Recorder;
use crate::engine::session::{Session, Unwatched};
use crate::journal::Work;
use crate::store::settled::Settled;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::name::netns::Netns;
use netkeel_host::kernel::Kernel;
use netkeel_plan::goal::ReleaseFacts;
use netkeel_plan::ledger::Ledger;
use netkeel_plan::outcome::Failure;

/// What is removed, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Stop<'a> {
    /// The owner.
    pub owner: &'a str,
    /// The namespace.
    pub netns: &'a Netns,
    /// The facts. Those that the owner does not own are ignored.
    pub facts: &'a BTreeSet<Fact>,
    /// Who removes them.
    pub actor: &'a str,
    /// Whether changes that cannot be undone exactly are allowed.
    pub lossy: bool,
}

impl Stop<'_> {
    /// Removes the facts; returns the number of writes.
    ///
    /// # Errors
    /// When they, or some of them, cannot be removed.
    pub fn run(&self, settled: &Settled, ledger: &Ledger, kernel: &mut dyn Kernel) -> Result<usize, Error> {
        let goal = ReleaseFacts {
            ledger,
            owner: self.owner,
            netns: self.netns,
            facts: self.facts,
        };
        let log = Recorder::new(settled, self.netns.clone(), self.owner, "stop", self.actor);
        let mut log = log.work(Work::Stop);
        log.compacts = ledger.wants_compacting();
        let session = Session {
            kernel,
            log: &mut log,
            lossy: self.lossy,
            watch: &mut Unwatched,
        };
        match apply(&goal, session).outcome {
            Ok(released) => released.restored_all().map(|()| released.done),
            Err(Failure::NotBegun(error)) => Err(error),
            Err(Failure::Failed(rollback)) => Err(rollback.cause),
            Err(Failure::Invalid(_) | Failure::Unread(_) | Failure::Lossy(_)) => Err(Error::new(
                ErrorKind::Refused,
                "cannot remove the rules that exist only while the service runs",
            )
            .hint("`netkeel release` restores everything that an owner holds")),
        }
    }
}
