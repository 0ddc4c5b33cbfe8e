//! Releases the writes of a policy that no longer applies, and counts the drift of a policy that only observes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::pass::watch::PassWatch;
use crate::pass::{PassRunner, first, goal};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::recorder::Recorder;
use netkeel_apply::engine::session::Session;
use netkeel_apply::journal::Work;
use netkeel_apply::store::settled::Settled;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_document::document::Document;
use netkeel_document::policy::{DeletionPolicy, Policy};
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::goal::change::{declares_any, held_back};
use netkeel_plan::goal::leaving::Leaving;
use netkeel_plan::goal::part::Extent;
use netkeel_plan::goal::{Goal, ReleaseFacts};
use netkeel_plan::outcome::Failure;

impl PassRunner {
    /// Releases what was written for a policy and `document`, which is in force, does not declare. With
    /// `deletionPolicy: keep`, gives it up instead: the settings stay, and netkeel holds them no more. Returns the number
    /// of facts.
    ///
    /// # Errors
    /// When it is not known what to release, and when the release fails. Nothing is released then. When some facts cannot be
    /// restored, or only the kept document cannot be removed, what is released stays so, and the next attempt finds what is
    /// left.
    pub(crate) fn leave(
        &mut self,
        document: &Document,
        policy: &Policy,
        suspended: &BTreeSet<Fact>,
        kernel: &mut dyn Kernel,
    ) -> Result<usize, Error> {
        let settled = self.begin(&document.netns, Duration::ZERO)?;
        let count = self.give_back(&settled, document, policy, suspended, kernel)?;
        // No start brings back what left. Other policies that are in force are kept without it.
        if document.hash.is_empty() {
            self.store.forget_accepted(&document.owner)?;
        }
        Ok(count)
    }

    fn give_back(
        &mut self,
        settled: &Settled,
        document: &Document,
        policy: &Policy,
        suspended: &BTreeSet<Fact>,
        kernel: &mut dyn Kernel,
    ) -> Result<usize, Error> {
        let Some(alone) = policy.alone(&document.netns, &document.owner) else {
            let message = "this netkeel cannot read the document of the policy";
            return Err(Error::new(ErrorKind::Refused, message)
                .hint("`netkeel owners` lists what netkeel wrote, and `netkeel release` restores it"));
        };
        self.guard.budget = self.store.writes_left(document.limits.changes_per_minute)?;
        let ledger = self.ledger.now(&self.store)?;
        let leaving = Leaving {
            left: &alone,
            in_force: document,
            ledger,
            suspended,
        };
        let host = kernel.snapshot(&leaving.scope())?;
        let unknown = |why: String| Error::new(ErrorKind::Refused, why);
        let facts = leaving.facts(&host).map_err(unknown)?;
        let count = facts.len();
        if count == 0 {
            return Ok(0);
        }
        if policy.deletion == DeletionPolicy::Keep {
            settled.forget(facts.into_iter().collect::<Vec<_>>())?;
            return Ok(count);
        }
        let goal = ReleaseFacts {
            ledger,
            owner: &document.owner,
            netns: &document.netns,
            facts: &facts,
        };
        let (netns, owner) = (document.netns.clone(), &document.owner);
        let mut log = Recorder::new(settled, netns, owner, &policy.hash, &self.actor).work(Work::Release);
        log.compacts = ledger.wants_compacting();
        let outcome = apply(
            &goal,
            Session {
                kernel,
                log: &mut log,
                lossy: self.lossy,
                watch: &mut PassWatch {
                    guard: &mut self.guard,
                    interrupt: &self.interrupt,
                    confirm: &[],
                    netns: &document.netns,
                },
            },
        )
        .outcome;
        self.interrupt.hold(false);
        let refused = |why: String| Err(Error::new(ErrorKind::Refused, why));
        match outcome {
            Ok(released) => released.restored_all().map(|()| count),
            Err(Failure::NotBegun(error)) => Err(error),
            Err(Failure::Failed(rollback)) => Err(rollback.cause),
            Err(Failure::Invalid(diagnostics)) => refused(first(&diagnostics)),
            Err(Failure::Unread(problems)) => {
                let shown: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
                refused(format!("not everything could be read: {}", shown.join("; ")))
            }
            Err(Failure::Lossy(_)) => refused("the release would lose state".to_owned())
                .map_err(|error| error.hint("`--allow-lossy` permits it")),
        }
    }

    /// Why a pass without the facts `suspended` would not write all that these policies declare; `None` if it would.
    pub(crate) fn held_back(
        &self,
        document: &Document,
        policies: &[Policy],
        suspended: &BTreeSet<Fact>,
        kernel: &mut dyn Kernel,
    ) -> Option<String> {
        let mut why = policies.iter().map(|policy| {
            let (alone, host) = match seen_alone(document, policy, kernel) {
                Ok(seen) => seen,
                Err(why) => return Some(why),
            };
            held_back(&alone, suspended, &host)
        });
        why.find_map(|why| why)
    }

    /// Whether these policies declare none of the facts, as far as that is known.
    pub(crate) fn are_of_others(
        &self,
        document: &Document,
        policies: &[Policy],
        facts: &BTreeSet<Fact>,
        kernel: &mut dyn Kernel,
    ) -> bool {
        policies.iter().all(|policy| {
            let seen = seen_alone(document, policy, kernel);
            seen.is_ok_and(|(alone, host)| !declares_any(&alone, facts, &host))
        })
    }

    /// The number of facts that differ from a policy that only observes; or why that is not known, in one line.
    pub(crate) fn observe(
        &mut self,
        document: &Document,
        policy: &Policy,
        kernel: &mut dyn Kernel,
    ) -> Result<usize, String> {
        let Some(alone) = policy.alone(&document.netns, &document.owner) else {
            return Err("this netkeel cannot read its document".to_owned());
        };
        let ledger = self.ledger.now(&self.store).map_err(|error| error.message)?;
        let (none, withheld) = (BTreeSet::new(), BTreeMap::new());
        let mut goal = goal(&alone, ledger, &Extent::All, &none, &withheld, self.enters_pods);
        // The policy alone does not declare what the others do.
        goal.holdings.defers_prune = true;
        let host = kernel.snapshot(&goal.scope()).map_err(|error| error.message)?;
        match goal.plan(&host) {
            Ok(planned) => {
                let seen = planned.observation.unwrap_or_default();
                match seen.unread.len() {
                    0 => Ok(seen.drift.len()),
                    unread => Err(format!("declared facts that could not be read: {unread}")),
                }
            }
            Err(diagnostics) => Err(first(&diagnostics)),
        }
    }
}

/// The document of a policy alone, and the host as far as it concerns it.
fn seen_alone(
    document: &Document,
    policy: &Policy,
    kernel: &mut dyn Kernel,
) -> Result<(Document, Snapshot), String> {
    let alone = policy.alone(&document.netns, &document.owner);
    let alone = alone.ok_or("this netkeel cannot read the document of the policy")?;
    let host = kernel.snapshot(&alone.scope());
    let host = host.map_err(|error| error.message)?;
    Ok((alone, host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::none;
    use crate::options::Options;
    use netkeel_apply::store::Store;
    use netkeel_core::name::netns::Netns;
    use netkeel_host::model::kernel::ModelKernel;
    use netkeel_kernel::netlink::interrupt::Interrupt;

    /// Needs root: the state of a network namespace of its own is in a directory of its own.
    #[test]
    fn a_policy_that_left_leaves_no_document_to_fall_back_to() {
        let netns = Netns::CURRENT;
        let options = Options {
            netns: netns.clone(),
            enforces: true,
            dry_run: false,
            interval: Duration::from_secs(60),
            lossy: false,
            management: false,
            queue: 4096,
            metrics_per_interface: false,
            node: Some("n1".to_owned()),
            page_for_anyone: false,
            listen: None,
        };
        let test = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let store = Store::open(&netns).unwrap();
            let mut runner = PassRunner::new(store.clone(), &options, Interrupt::default());
            let document = none(&netns);
            for deletion in ["release", "keep"] {
                let policy = serde_json::json!({
                    "apiVersion": "netkeel.io/v1alpha1",
                    "kind": "NetkeelPolicy",
                    "metadata": { "name": "a", "uid": "u-a", "generation": 1 },
                    "spec": {
                        "document": { "version": 1, "sysctl": { "net.ipv4.ip_forward": 1 } },
                        "deletionPolicy": deletion,
                    },
                });
                let policy = Policy::from_json(&policy.to_string()).unwrap();
                // The host was as it says before, so that nothing is held.
                store.keep_accepted(&document.owner, "{}").unwrap();
                let mut kernel = ModelKernel::new(Snapshot::empty(netns.clone()));
                let left = runner.leave(&document, &policy, &BTreeSet::new(), &mut kernel);
                assert_eq!(left.unwrap(), 0, "{deletion}");
                assert_eq!(store.accepted(&document.owner).unwrap(), None, "{deletion}");
            }
        };
        std::thread::scope(|scope| scope.spawn(test).join().unwrap());
    }
}
