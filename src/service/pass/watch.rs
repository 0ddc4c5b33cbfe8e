//! Watches a pass that writes: what it may write, whether a signal stops it, and whether probes confirm it.

use crate::pass::probes::confirmed;
use netkeel_apply::engine::guard::Guard;
use netkeel_apply::engine::session::Watch;
use netkeel_core::error::Error;
use netkeel_core::name::netns::Netns;
use netkeel_core::probe::Probe;
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::netlink::interrupt::Interrupt;
use netkeel_plan::plan::Plan;

/// Watches a pass that writes. A stop ends it before its transaction begins, and not later.
pub(super) struct PassWatch<'a> {
    pub(super) guard: &'a mut Guard,
    pub(super) interrupt: &'a Interrupt,
    /// Probes that must pass before the commit, and where they are asked.
    pub(super) confirm: &'a [Probe],
    pub(super) netns: &'a Netns,
}

impl Watch for PassWatch<'_> {
    fn permits(&mut self, plan: &Plan, host: &Snapshot) -> Result<(), Error> {
        self.guard.permits(plan, host)?;
        self.interrupt.check()?;
        self.interrupt.hold(true);
        Ok(())
    }

    fn accepts(&mut self) -> Result<(), Error> {
        confirmed(self.confirm, self.netns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_stop_ends_a_pass_before_its_transaction_and_not_within_it() {
        let interrupt = Interrupt::default();
        let mut guard = Guard::new(false, false);
        let mut watch = PassWatch {
            guard: &mut guard,
            interrupt: &interrupt,
            confirm: &[],
            netns: &Netns::CURRENT,
        };
        let host = Snapshot::empty(Netns::CURRENT);
        watch
            .permits(&Plan::empty("default", Netns::CURRENT), &host)
            .unwrap();
        interrupt.flag().store(true, Ordering::Relaxed);
        assert!(!watch.stops(), "the transaction goes on");
        assert!(interrupt.check().is_ok(), "its reads do, too");
        interrupt.hold(false);
        let error = watch
            .permits(&Plan::empty("default", Netns::CURRENT), &host)
            .unwrap_err();
        assert_eq!(error.message, "interrupted by a signal");
    }
}
