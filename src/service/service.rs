//! The main loop: wait for events, ask the reconciler for the next action, run it, report.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::document::{accepted, last_accepted, none, read_document, short};
use crate::effects::Effects;
use crate::effects::log::Level;
use crate::http::answer::Question;
use crate::inbox::Message;
use crate::options::Options;
use crate::pass::WAIT_FOR_OTHERS;
use crate::state::State;
use crate::state::change_end::{ChangeEnd, covered};
use crate::state::evictions::Evictions;
use crate::state::policies::Policies;
use crate::watch::view::KernelView;
use netkeel_apply::clock;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::goal::part::Extent;
use netkeel_reconcile::event::{Action, Event, Outcome};
use netkeel_reconcile::pass_result::PassResult;
use netkeel_reconcile::status::Status;
use netkeel_reconcile::status::last_apply::LastApply;

/// Turns of clients between two passes.
const TURNS: usize = 4;

/// The service.
pub(crate) struct Service<'a> {
    pub(crate) state: State,
    pub(crate) effects: Effects<'a>,
}

impl<'a> Service<'a> {
    /// Reads the document, or takes the last accepted one of its owner if it is not accepted.
    ///
    /// # Errors
    /// When neither can be read.
    pub(crate) fn new(options: &Options, mut effects: Effects<'a>, status: Status) -> Result<Self, Error> {
        // Before the document is accepted: after a power cut the one that nobody confirmed is rejected. The
        // first pass reports a failure.
        if options.enforces {
            let _ = effects.runner.begin(&options.netns, Duration::ZERO);
        }
        let store = &effects.runner.store;
        let policies = options.node.clone();
        let has_files = !effects.source.is_empty();
        let mut policies =
            policies.map(|node| Policies::new(node, store.policies(), has_files, options.enforces));
        let read = read_document(policies.as_ref(), effects.source, &options.netns);
        let owner = read.as_ref().ok().map(|document| document.owner.clone());
        let (document, rejected, idle) = match accepted(read, store) {
            Ok(document) => {
                if let Some(policies) = &mut policies {
                    policies.loaded(has_files);
                }
                let idle = document.hash.is_empty();
                (document, None, idle)
            }
            // Documents that were removed do not come back.
            Err(_) if !has_files && policies.is_none() => (none(&options.netns), None, true),
            Err(why) => match last_accepted(store, owner, &options.netns) {
                Some(document) => (document, Some(why), false),
                // The cluster may mend it.
                None if policies.is_some() => (none(&options.netns), Some(why), true),
                None => return Err(Error::new(ErrorKind::Input, why)),
            },
        };
        effects.log.say(
            Level::Info,
            "started",
            &[
                ("mode", &status.mode),
                ("document", &short(&document.hash)),
                ("interval", &format!("{:?}", options.interval)),
            ],
        );
        let interval = options.interval;
        let state = State::new(document, options.enforces, options.dry_run, interval, status);
        let mut service = Service { state, effects };
        service.state.policies = policies;
        if service.state.policies.is_some() {
            let kept = service.effects.runner.store.evictions();
            service.state.evictions = Evictions::new(kept, service.effects.now(), clock::now());
        }
        service.state.status.idle = idle;
        if idle {
            service.log_idle();
        }
        service.document_loaded(rejected);
        service.read_pause();
        Ok(service)
    }

    /// Logs that there is no document. The service waits for one, since a package may be installed first.
    fn log_idle(&mut self) {
        let paths = self.effects.source.paths();
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let then = "the service waits for a document";
        self.effects.log.say(
            Level::Warning,
            "idle",
            &[("no_document_in", &paths.join(", ")), ("then", &then)],
        );
    }

    /// Runs until a signal stops it. Errors are logged and retried.
    pub(crate) async fn run(&mut self, live: &mut Live) {
        self.remove_left_rules(live, WAIT_FOR_OTHERS);
        loop {
            // Clients and signals get turns, however many passes are due: to connect, to ask and to be answered.
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
                while let Ok(message) = self.effects.inbox.try_recv() {
                    self.receive(live, message);
                }
            }
            let more = self.listen(live);
            if self.effects.interrupt.is_asked() {
                break;
            }
            self.keep_promise();
            self.poll_left_rules(live);
            self.poll_worker();
            self.poll_document();
            self.report_unwatched();
            self.poll_paths(live);
            self.poll_losses();
            self.poll_probes();
            let now = self.effects.now();
            if let Some(seen) = self.effects.handshakes.poll(live, now) {
                self.state.status.handshakes = seen;
            }
            match self.state.reconciler.poll(self.effects.now()) {
                Some(Action::Load) => self.load(),
                Some(Action::Pass {
                    extent,
                    except,
                    writes,
                }) => self.pass(live, extent, &except, writes),
                None if !more => {
                    self.report_recovered();
                    self.publish();
                    if self.state.should_purge(self.effects.now()) {
                        self.purge(live);
                    }
                    self.release_policies(live);
                    self.poll_evictions();
                    let due = self.state.reconciler.wakes();
                    let held_back = self.state.reconciler.waits_for_its_turn(self.effects.now());
                    if let Some(message) = self.effects.wait(due, held_back).await {
                        self.receive(live, message);
                    }
                }
                None => {}
            }
        }
        self.effects.notify.send(&[NotifyState::Stopping]);
        if !self.hand_over() {
            self.remove_on_stop(live);
        }
        self.effects.supervisor.stop();
        self.effects.log.say(Level::Info, "stopped", &[]);
    }

    fn receive(&mut self, live: &mut Live, message: Message) {
        match message {
            Message::Reload => {
                let now = self.effects.now();
                self.state.reconciler.handle(Event::Reload, now);
            }
            // The signal has set the interrupt, too.
            Message::Stop => {}
            Message::Ask(question, reply) => {
                if question == Question::Look {
                    self.check_document();
                    self.read_pause();
                }
                let now = self.effects.now();
                self.state.list_suspended(now);
                if question == Question::Page {
                    let Effects { page, runner, .. } = &mut self.effects;
                    if let Some(recent) = page.read(now, &runner.store, live) {
                        self.state.recent = recent;
                    }
                }
                // The client may be gone.
                let _ = reply.send(self.state.answer(question));
            }
            Message::Peers(source, news) => self.learn_peers(&source, news),
            Message::Policies(news) => self.learn_policies(news),
            Message::NodeState(trouble) => self.node_state_written(trouble),
            Message::Slots(news) => self.learn_slots(news),
            Message::Asked(uid, document, passed) => self.learn_probes(&uid, &document, passed),
            Message::Evictions(news) => self.learn_evictions(news, live),
            Message::EventLost(why) => self.event_lost(&why),
            Message::NotAccepted(why) => {
                self.effects
                    .log
                    .say(Level::Warning, "client-not-accepted", &[("why", &why)])
            }
        }
    }

    /// Logs that the kernel does not let the service watch files.
    fn report_unwatched(&mut self) {
        if let Some(errno) = self.effects.files.trouble() {
            let then = "full scans and comparisons find changed files later";
            self.effects.log.say(
                Level::Warning,
                "files-not-watched",
                &[("why", &errno.desc()), ("then", &then)],
            );
        }
    }

    /// Undoes an apply that nobody confirmed if its watchdog does not. A pause of the service does not pause a
    /// promise.
    fn keep_promise(&mut self) {
        let Effects {
            promise, runner, log, ..
        } = &mut self.effects;
        if !self.state.enforces || !promise.is_due(&runner.store) {
            return;
        }
        let netns = self.state.document.netns.clone();
        if let Err(error) = runner.begin(&netns, Duration::ZERO) {
            log.say(Level::Warning, "promise-overdue", &[("why", &error.message)]);
        }
        self.report_recovered();
    }

    /// Passes queued events to the reconciler; returns whether more may be queued.
    fn listen(&mut self, live: &mut Live) -> bool {
        let mut lost = 0;
        let more = self.view(live, &mut lost).listen();
        self.count_lost(lost);
        more
    }

    fn view<'b>(&'b mut self, live: &'b mut Live, lost: &'b mut u64) -> KernelView<'b> {
        KernelView {
            kernel: live,
            events: &mut self.effects.events,
            files: &mut self.effects.files,
            reconciler: &mut self.state.reconciler,
            start: self.effects.start,
            gone: &mut self.state.gone,
            lost,
        }
    }

    fn count_lost(&mut self, lost: u64) {
        if lost > 0 {
            self.state.status.counters.events_lost += lost;
            self.effects.log.say(
                Level::Warning,
                "events-lost",
                &[("then", &"the whole host is scanned")],
            );
        }
    }

    /// Starts a full scan when the MTU of a path changed.
    fn poll_paths(&mut self, live: &mut Live) {
        for (target, measured) in self.effects.paths.poll(live) {
            match measured {
                Ok(mtu) => {
                    let fields: &[(&str, &dyn std::fmt::Display)] = &[("to", &target), ("mtu", &mtu)];
                    self.effects.log.say(Level::Info, "path", fields);
                    let now = self.effects.now();
                    self.state.reconciler.handle(Event::Everything, now);
                }
                Err(error) => {
                    let fields: &[(&str, &dyn std::fmt::Display)] = &[("to", &target), ("why", &error)];
                    self.effects.log.say(Level::Warning, "path-not-measured", fields);
                }
            }
        }
    }

    /// Records the losses of a window that ended.
    fn poll_losses(&mut self) {
        match self.effects.losses.poll() {
            None => {}
            Some(Ok(window)) => self.state.status.doctor.add(&window, clock::now()),
            Some(Err(error)) => {
                let then = "the next window begins anew";
                self.effects.log.say(
                    Level::Warning,
                    "losses-not-counted",
                    &[("why", &error.message), ("then", &then)],
                );
            }
        }
    }

    fn pass(&mut self, live: &mut Live, extent: Extent, except: &BTreeSet<Fact>, writes: bool) {
        let changing = self.changing(writes);
        let extent = covered(extent, &changing);
        if extent == Extent::All {
            self.check_document();
        }
        let (runner, document) = (&self.effects.runner, &self.state.document);
        let held_back = runner.held_back(document, &changing, except, live);
        let policies = self.state.policies.as_ref();
        self.effects.runner.defers_prune = policies.is_some_and(Policies::defers_prune);
        self.effects.runner.confirm = policies.map(Policies::confirm).unwrap_or_default();
        let begun = Instant::now();
        let mut lost = 0;
        let passed = {
            let Service { state, effects } = self;
            let mut view = KernelView {
                kernel: live,
                events: &mut effects.events,
                files: &mut effects.files,
                reconciler: &mut state.reconciler,
                start: effects.start,
                gone: &mut state.gone,
                lost: &mut lost,
            };
            match held_back {
                Some(why) => PassResult::failed(Outcome::Failed, why),
                None => effects
                    .runner
                    .pass(&state.document, &mut view, &extent, except, writes),
            }
        };
        self.count_lost(lost);
        // A stop ended the pass before its transaction: nothing failed.
        if self.effects.interrupt.is_asked() && matches!(passed.outcome, Outcome::Blocked | Outcome::Waits) {
            return;
        }
        let took = begun.elapsed();
        self.report_recovered();
        self.report_pass(&extent, except, &passed, took);
        if extent == Extent::All && passed.seen.is_some() {
            self.state.status.scanned = Some(clock::now());
        }
        let doubts = self.doubts(&changing, except, &passed, live);
        let ended = ChangeEnd::of(&extent, &passed, writes, doubts);
        if let Some(last) = LastApply::of(&passed, clock::now()) {
            self.tell_apply(&last);
            self.state.status.last_apply = Some(last);
        }
        // The writes may have loaded nftables into the kernel.
        if passed.writes > 0 {
            self.follow_rules();
        }
        let now = self.effects.now();
        let done = extent == Extent::All && passed.failure.is_none();
        self.state
            .reconciler
            .handle(Event::Ended(extent, passed.outcome), now);
        // One that was only looked at was not applied.
        if done && writes {
            self.keep_document();
        }
        if done && writes && self.state.may_purge(now) {
            self.purge(live);
        }
        if done {
            self.observe_policies(live);
        }
        self.end_changes(ended);
        if done {
            self.find_stale_pods(live);
        }
    }

    /// Purges the ledger entries of deleted interfaces.
    fn purge(&mut self, live: &mut Live) {
        self.state.purged(self.effects.now());
        let forgotten = self.effects.runner.forget_gone(&self.state.document, live);
        self.report_recovered();
        if let Err(error) = forgotten {
            self.effects.log.say(Level::Warning, "ledger", &[("why", &error)]);
        }
    }
}
