//! Runs one pass. A pass that writes takes the lock, and is journalled, verified and recorded like `netkeel apply`.

mod policies;
pub(crate) mod probes;
pub(crate) mod stale;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::options::Options;
use crate::pass::watch::PassWatch;
use crate::watch::view::{KernelView, ScopedView};
use netkeel_apply::engine::apply::{Ended, apply};
use netkeel_apply::engine::guard::Guard;
use netkeel_apply::engine::recorder::Recorder;
use netkeel_apply::engine::session::Session;
use netkeel_apply::engine::stop::Stop;
use netkeel_apply::recover::{Undone, Unsettled, settle, unconfirmed_yet};
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::ledger::LedgerFile;
use netkeel_apply::store::settled::Settled;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::probe::Probe;
use netkeel_diagnose::lint::plan;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Links;
use netkeel_kernel::namespace::enter::may_enter;
use netkeel_kernel::namespace::identity;
use netkeel_kernel::netlink::interrupt::Interrupt;
use netkeel_plan::goal::Goal;
use netkeel_plan::goal::part::{Extent, PartGoal};
use netkeel_plan::ledger::OwnershipRecord;
use netkeel_plan::ledger::place::{Place, Places};
use netkeel_plan::outcome::Failure;
use netkeel_plan::ownership::Ownership;
use netkeel_reconcile::event::{Blamed, Outcome};
use netkeel_reconcile::pass_result::PassResult;
use netkeel_source::diagnostic::{Diagnostic, Diagnostics};

/// How long the service waits for a running `netkeel apply` when it starts and when it stops.
pub(crate) const WAIT_FOR_OTHERS: Duration = Duration::from_secs(5);

/// Runs passes.
pub(crate) struct PassRunner {
    /// Journal, ledger, history.
    pub store: Store,
    /// The actor recorded in the journal and history.
    pub actor: String,
    /// The last rollback of an interrupted apply, until it is reported.
    pub recovered: Option<Undone>,
    /// Refuses changes that the service may not make.
    pub(crate) guard: Guard,
    /// Set by the signals that stop the service.
    pub(crate) interrupt: Interrupt,
    /// Whether netkeel may enter the network namespaces of pods.
    enters_pods: bool,
    /// Whether changes that cannot be undone exactly are allowed.
    pub lossy: bool,
    /// The cached ledger.
    pub ledger: LedgerFile,
    /// Interfaces, by name and index, whose MTU is not written: see [`PartGoal::withheld`].
    pub(crate) withheld: BTreeMap<LinkName, u32>,
    /// Facts that left the document stay for now, although it has `prune: true`.
    pub(crate) defers_prune: bool,
    /// Probes that must pass before a pass that wrote is committed.
    pub(crate) confirm: Vec<Probe>,
}

impl PassRunner {
    /// A runner that has made no pass yet.
    pub(crate) fn new(store: Store, options: &Options, interrupt: Interrupt) -> Self {
        PassRunner {
            actor: actor(),
            recovered: None,
            guard: Guard::new(identity::may_be_the_host(&options.netns), options.management),
            interrupt,
            enters_pods: may_enter(),
            lossy: options.lossy,
            ledger: LedgerFile::default(),
            withheld: BTreeMap::new(),
            defers_prune: false,
            confirm: Vec::new(),
            store,
        }
    }

    /// Takes the lock and rolls back an interrupted apply. An apply that waits to be confirmed is an error.
    pub(crate) fn begin(&mut self, netns: &Netns, patience: Duration) -> Result<Settled, Error> {
        match settle(&self.store, netns, &self.actor, patience.into()) {
            Ok((settled, undone)) => {
                self.recovered = undone.or(self.recovered.take());
                Ok(settled)
            }
            Err(Unsettled::Refused(error)) => Err(error),
            // The service itself looks after it: see `Service::keep_promise`.
            Err(Unsettled::Waits(held)) => Err(unconfirmed_yet(held.pending())),
            Err(Unsettled::Remains(undone)) => {
                let why = undone.incomplete();
                self.recovered = Some(undone);
                Err(why)
            }
        }
    }

    /// A document that was rolled back is not applied again, whoever rolled it back.
    fn refuse_rejected(&self, document: &Document) -> Result<(), Error> {
        match self.store.rejection(Some(&document.hash))? {
            None => Ok(()),
            Some(rejection) => {
                let message = format!("the document was rolled back before: {}", rejection.reason);
                Err(Error::new(ErrorKind::Refused, message))
            }
        }
    }

    /// Checks a part of the host, and corrects drift if `writes`.
    pub(crate) fn pass(
        &mut self,
        document: &Document,
        view: &mut KernelView<'_>,
        extent: &Extent,
        except: &BTreeSet<Fact>,
        writes: bool,
    ) -> PassResult {
        // The service takes the pass for one over this part: a pass over the whole host that is due comes after it.
        let mut kernel = view.scoped(extent);
        // A derived MTU depends on routes and on interfaces outside its own stack.
        let extent = match extent {
            Extent::Links(_) if document.has_budgets() => &Extent::All,
            extent => extent,
        };
        let passed = match writes {
            true => self.write(document, &mut kernel, extent, except),
            false => self.check(document, &mut kernel, extent, except),
        };
        if let (Extent::All, Some(seen)) = (extent, &passed.seen) {
            let withheld = seen.stale.iter().filter(|(_, withheld)| **withheld);
            let withheld = withheld.map(|(name, _)| name).chain(&seen.unreachable);
            let indexed = withheld.filter_map(|name| Some((*name, *seen.links.get(name)?)));
            self.withheld = indexed.collect();
        }
        passed
    }

    /// Reports drift without writing; this needs no lock.
    fn check(
        &mut self,
        document: &Document,
        kernel: &mut ScopedView<'_>,
        extent: &Extent,
        except: &BTreeSet<Fact>,
    ) -> PassResult {
        let ledger = match self.ledger.now(&self.store) {
            Ok(ledger) => ledger,
            Err(error) => return PassResult::failed(Outcome::Blocked, error.message),
        };
        let mut goal = goal(document, ledger, extent, except, &self.withheld, self.enters_pods);
        goal.holdings.defers_prune = self.defers_prune;
        let snapshot = match kernel.snapshot(&goal.scope()) {
            Ok(snapshot) => snapshot,
            Err(error) => return PassResult::failed(Outcome::Blocked, error.message),
        };
        match goal.plan(&snapshot) {
            Ok(mut planned) => {
                if *extent == Extent::All {
                    plan::add(Some(document), &mut planned, &snapshot);
                }
                PassResult {
                    outcome: Outcome::Looked,
                    seen: planned.observation,
                    plan: Some(planned.plan),
                    id: None,
                    writes: 0,
                    failure: None,
                    rollback: None,
                }
            }
            Err(diagnostics) => {
                PassResult::failed(at_fault(&diagnostics, &kernel.indices), first(&diagnostics))
            }
        }
    }

    fn write(
        &mut self,
        document: &Document,
        kernel: &mut ScopedView<'_>,
        extent: &Extent,
        except: &BTreeSet<Fact>,
    ) -> PassResult {
        let begun = self.begin(&document.netns, Duration::ZERO);
        let begun = begun.and_then(|settled| self.refuse_rejected(document).map(|()| settled));
        let settled = match begun {
            Ok(settled) => settled,
            Err(error) if error.kind == ErrorKind::Busy => {
                return PassResult::failed(Outcome::Waits, error.message);
            }
            Err(error) => return PassResult::failed(Outcome::Blocked, error.message),
        };
        self.guard.budget = match self.store.writes_left(document.limits.changes_per_minute) {
            Ok(budget) => budget,
            Err(error) => return PassResult::failed(Outcome::Blocked, error.message),
        };
        let ledger = match self.ledger.now(&self.store) {
            Ok(ledger) => ledger,
            Err(error) => return PassResult::failed(Outcome::Blocked, error.message),
        };
        let mut goal = goal(document, ledger, extent, except, &self.withheld, self.enters_pods);
        goal.holdings.defers_prune = self.defers_prune;
        let (owner, hash) = (&document.owner, &document.hash);
        let mut log = Recorder::new(&settled, document.netns.clone(), owner, hash, &self.actor);
        log.compacts = ledger.wants_compacting();
        let Ended {
            outcome,
            observation: seen,
        } = apply(
            &goal,
            Session {
                kernel: &mut *kernel,
                log: &mut log,
                lossy: self.lossy,
                watch: &mut PassWatch {
                    guard: &mut self.guard,
                    interrupt: &self.interrupt,
                    confirm: &self.confirm,
                    netns: &document.netns,
                },
            },
        );
        self.interrupt.hold(false);
        let id = Some(log.id().to_owned());
        drop(log);
        drop(settled);
        let indices = std::mem::take(&mut kernel.indices);
        let blamed = |facts: Vec<Fact>, why: &str| {
            let why: Arc<str> = why.into();
            let facts = facts.into_iter().map(|fact| blame(fact, &indices, &why));
            Outcome::Blamed(facts.collect())
        };
        match outcome {
            Ok(mut applied) => {
                if !applied.new_drift.is_empty() {
                    // Another program changed what this pass did not write.
                    kernel.look_again();
                }
                if *extent == Extent::All {
                    plan::add(Some(document), &mut applied.planned, &applied.before);
                }
                let facts: BTreeSet<Fact> = applied
                    .planned
                    .plan
                    .steps
                    .iter()
                    .map(|step| step.fact.clone())
                    .collect();
                let indexed = |fact: Fact| (fact.clone(), index_of(&fact, &indices));
                PassResult {
                    outcome: Outcome::Kept(facts.into_iter().map(indexed).collect()),
                    seen,
                    writes: applied.done,
                    plan: Some(applied.planned.plan),
                    id,
                    failure: None,
                    rollback: None,
                }
            }
            Err(Failure::Invalid(diagnostics)) => {
                PassResult::failed(at_fault(&diagnostics, &indices), first(&diagnostics))
            }
            Err(Failure::Unread(problems)) => {
                let what: Vec<String> = problems.iter().map(ToString::to_string).collect();
                PassResult::failed(Outcome::Failed, what.join("; "))
            }
            Err(Failure::Lossy(plan)) => {
                let why = "the change cannot be undone exactly; `netkeel run --allow-lossy` allows it";
                let facts = plan.lossy().map(|step| step.fact.clone()).collect();
                PassResult {
                    seen,
                    ..PassResult::failed(blamed(facts, why), why)
                }
            }
            Err(Failure::NotBegun(error)) => {
                let refused = std::mem::take(&mut self.guard.refused);
                let outcome = match refused.is_empty() {
                    true => Outcome::Blocked,
                    false => blamed(refused, &error.message),
                };
                PassResult {
                    seen,
                    ..PassResult::failed(outcome, error.message)
                }
            }
            Err(Failure::Failed(rollback)) => {
                let why = rollback.cause.message.clone();
                let outcome = match rollback.blamed.is_empty() {
                    true => Outcome::Failed,
                    false => blamed(rollback.blamed.clone(), &why),
                };
                PassResult {
                    seen,
                    rollback: Some(rollback),
                    id,
                    ..PassResult::failed(outcome, why)
                }
            }
        }
    }

    /// Removes facts that an owner has only while its service runs; returns the number of writes.
    pub fn stop(
        &mut self,
        owner: &str,
        netns: &Netns,
        facts: &BTreeSet<Fact>,
        kernel: &mut dyn Kernel,
        patience: Duration,
    ) -> Result<usize, Error> {
        if facts.is_empty() {
            return Ok(0);
        }
        let settled = self.begin(netns, patience)?;
        let ledger = self.ledger.now(&self.store)?;
        let stop = Stop {
            owner,
            netns,
            facts,
            actor: &self.actor,
            lossy: self.lossy,
        };
        stop.run(&settled, ledger, kernel)
    }

    /// Purges the ledger entries of deleted interfaces. Without this the ledger grows with every pod.
    pub(crate) fn forget_gone(
        &mut self,
        document: &Document,
        kernel: &mut dyn Kernel,
    ) -> Result<usize, Error> {
        let settled = self.begin(&document.netns, Duration::ZERO)?;
        let now = kernel.snapshot(&netkeel_host::snapshot::scope::Scope {
            links: Links::All,
            ..Default::default()
        })?;
        let ledger = self.ledger.now(&self.store)?;
        let places = Places::new(&now);
        let gone = |claim: &&OwnershipRecord| match places.of(claim) {
            Place::Gone => true,
            Place::Here | Place::Renamed(_) | Place::Unknown => false,
        };
        let gone = ledger.of(&document.owner).filter(gone);
        let facts: Vec<Fact> = gone.map(|claim| claim.fact.clone()).collect();
        let count = facts.len();
        settled.forget(facts)?;
        Ok(count)
    }
}

fn goal<'a>(
    document: &'a Document,
    ledger: &'a netkeel_plan::ledger::Ledger,
    extent: &'a Extent,
    except: &'a BTreeSet<Fact>,
    withheld: &'a BTreeMap<LinkName, u32>,
    enters_pods: bool,
) -> PartGoal<'a> {
    PartGoal {
        document,
        holdings: Ownership {
            ledger: Some(ledger),
            prune: false,
            defers_prune: false,
            force_ownership: false,
        },
        extent,
        except,
        withheld,
        enters_pods,
    }
}

fn index_of(fact: &Fact, indices: &BTreeMap<LinkName, u32>) -> Option<u32> {
    fact.link_name().and_then(|name| indices.get(&name).copied())
}

fn blame(fact: Fact, indices: &BTreeMap<LinkName, u32>, why: &Arc<str>) -> Blamed {
    Blamed {
        index: index_of(&fact, indices),
        why: why.clone(),
        fact,
    }
}

/// The facts that cannot be planned, each with the reason. A diagnostic without facts makes the whole
/// pass fail.
fn at_fault(diagnostics: &Diagnostics, indices: &BTreeMap<LinkName, u32>) -> Outcome {
    let list = &diagnostics.list;
    if list.is_empty() || list.iter().any(|one| one.facts.is_empty()) {
        return Outcome::Failed;
    }
    let of_one = |one: &Diagnostic| {
        let why: Arc<str> = format!("{}: {}", one.path, one.message).into();
        let facts = one.facts.iter().cloned();
        facts.map(|fact| blame(fact, indices, &why)).collect::<Vec<_>>()
    };
    Outcome::Blamed(list.iter().flat_map(of_one).collect())
}

fn first(diagnostics: &Diagnostics) -> String {
    let messages: BTreeMap<_, _> = diagnostics
        .list
        .iter()
        .map(|one| (&one.message, &one.path))
        .collect();
    let mut shown: Vec<String> = messages
        .iter()
        .take(3)
        .map(|(message, path)| format!("{path}: {message}"))
        .collect();
    if diagnostics.count() > shown.len() {
        shown.push(format!("{} more", diagnostics.count() - shown.len()));
    }
    shown.join("; ")
}
