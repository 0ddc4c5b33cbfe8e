//! The loop: wait, listen, ask the state machine, do, tell.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;

use super::files::{Files, Role};
use super::guard::Guard;
use super::hearing::Hearing;
use super::keep::{Keeper, Passed, Settle};
use super::log::{Level, Log};
use super::notify::Notify;
use super::picture::{AlonePicture, FindingPicture, PausePicture, Picture};
use super::signals::{Asked, Signals};
use super::{Options, Source, interest, writers};
use crate::document::Document;
use crate::error::{Diagnostics, Error, ErrorKind};
use crate::fact::Fact;
use crate::kernel::{Events, Live};
use crate::netns::Netns;
use crate::plan::Extent;
use crate::reconcile::{Action, Event, Now, Outcome, Reconciler, Report};
use crate::source::Sources;
use crate::store::{HeldLedger, Pause, Store, actor, now};

/// The ledger is rid of interfaces that are gone once in this time.
const TIDY: Duration = Duration::from_secs(3600);

/// The service.
pub struct Service<'a> {
    source: &'a mut dyn Source,
    document: Document,
    keeper: Keeper<'a>,
    reconciler: Reconciler,
    signals: Signals,
    events: Events,
    files: Files,
    notify: Notify,
    log: Log,
    start: Instant,
    /// What others may see.
    picture: Arc<Mutex<Picture>>,
    gone: Vec<u32>,
    /// Who else writes what is left alone.
    writers: BTreeMap<Fact, Vec<String>>,
    tidied: Instant,
    /// What `systemctl status` shows.
    status: String,
}

impl<'a> Service<'a> {
    /// Reads the document, or takes the last good one.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(
        options: &'a Options,
        source: &'a mut dyn Source,
        settle: &'a Settle<'a>,
        store: Store,
        signals: Signals,
        events: Events,
        picture: Arc<Mutex<Picture>>,
    ) -> Result<Self, Error> {
        let mut log = Log::new();
        let read = accepted(source.read(), &store);
        let (document, rejected) = match read {
            Ok(document) => (document, None),
            Err(why) => match last_good(&store, &options.netns) {
                Some(document) => (document, Some(why)),
                None => return Err(Error::new(ErrorKind::Input, why)),
            },
        };
        let reconciler = Reconciler::new(options.enforces, options.interval, interest(&document));
        let guard = Guard::new(store.is_host(), options.management);
        let mut service = Service {
            source,
            keeper: Keeper {
                actor: actor(),
                settle,
                guard,
                lossy: options.lossy,
                ledger: HeldLedger::default(),
                store,
            },
            document,
            reconciler,
            signals,
            events,
            files: Files::new()?,
            notify: Notify::new(),
            start: Instant::now(),
            picture,
            gone: Vec::new(),
            writers: BTreeMap::new(),
            tidied: Instant::now(),
            status: String::new(),
            log: Log::new(),
        };
        log.say(
            Level::Info,
            "started",
            &[
                ("mode", &service.picture().mode),
                ("document", &short(&service.document.hash)),
                ("interval", &format!("{:?}", options.interval)),
            ],
        );
        service.took_document(rejected);
        service.look_for_pause();
        Ok(service)
    }

    /// Runs until it is told to end.
    ///
    /// # Errors
    /// Never by itself: what goes wrong is told and tried again.
    pub fn run(&mut self, live: &mut Live) -> Result<(), Error> {
        loop {
            let (more, now) = {
                let mut lost = 0;
                let mut hearing = self.hearing(live, &mut lost);
                let heard = (hearing.listen(), hearing.now());
                self.count_lost(lost);
                heard
            };
            match self.signals.take() {
                Some(Asked::Stop) => break,
                Some(Asked::Reload) => self.reconciler.handle(Event::Reload, now),
                None => {}
            }
            match self.reconciler.poll(now) {
                Some(Action::Load) => self.load(),
                Some(Action::Pass {
                    extent,
                    except,
                    writes,
                }) => self.pass(live, extent, &except, writes),
                None if !more => {
                    self.publish();
                    self.wait();
                }
                None => {}
            }
        }
        self.notify.tell("STOPPING=1");
        self.log.say(Level::Info, "stopped", &[]);
        Ok(())
    }

    fn hearing<'b>(&'b mut self, live: &'b mut Live, lost: &'b mut u64) -> Hearing<'b> {
        Hearing {
            kernel: live,
            events: &mut self.events,
            files: &mut self.files,
            reconciler: &mut self.reconciler,
            start: self.start,
            gone: &mut self.gone,
            lost,
        }
    }

    fn count_lost(&mut self, lost: u64) {
        if lost > 0 {
            self.picture().counters.events_lost += lost;
            self.log.say(
                Level::Warning,
                "events-lost",
                &[("then", &"the whole host is looked at")],
            );
        }
    }

    fn now(&self) -> Now {
        self.start.elapsed()
    }

    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        let due = self
            .reconciler
            .wakes()
            .map(|wake| wake.saturating_sub(self.now()));
        let timeout = due.into_iter().chain(self.notify.watchdog()).min();
        let mut fds: Vec<PollFd<'_>> = self
            .signals
            .fds()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        fds.push(PollFd::new(self.events.as_fd(), PollFlags::POLLIN));
        fds.push(PollFd::new(self.files.as_fd(), PollFlags::POLLIN));
        // Interrupted or not, whoever calls looks at everything.
        let _ = nix::poll::ppoll(&mut fds, timeout.map(TimeSpec::from_duration), None);
        self.notify.tell("WATCHDOG=1");
    }

    fn pass(&mut self, live: &mut Live, extent: Extent, except: &BTreeSet<Fact>, writes: bool) {
        let begun = Instant::now();
        let mut lost = 0;
        let passed = {
            let mut hearing = Hearing {
                kernel: live,
                events: &mut self.events,
                files: &mut self.files,
                reconciler: &mut self.reconciler,
                start: self.start,
                gone: &mut self.gone,
                lost: &mut lost,
            };
            self.keeper
                .pass(&self.document, &mut hearing, &extent, except, writes)
        };
        self.count_lost(lost);
        self.tell(&extent, except, &passed, begun.elapsed());
        let now = self.now();
        let done = extent == Extent::All && passed.failure.is_none();
        self.reconciler.handle(Event::Ended(extent, passed.outcome), now);
        if done && writes && self.tidied.elapsed() > TIDY {
            self.tidied = Instant::now();
            if let Err(error) = self.keeper.forget_gone(&self.document, live) {
                self.log.say(Level::Warning, "ledger", &[("why", &error)]);
            }
        }
    }

    /// Tells what a pass came to: to the picture and to the log.
    fn tell(&mut self, extent: &Extent, except: &BTreeSet<Fact>, passed: &Passed, took: Duration) {
        let known = &self.reconciler.known;
        let mut picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        picture.took(took);
        let right = matches!(passed.outcome, Outcome::Kept(_));
        if let Some(seen) = &passed.seen {
            picture.saw(extent, seen, &|fact| except.contains(fact), right, &|index| {
                known.mtu(index)
            });
            if *extent == Extent::All {
                picture.problems = seen
                    .problems
                    .iter()
                    .map(|problem| format!("{}: {}", problem.what, problem.why))
                    .collect();
            }
        }
        if let (Some(plan), Extent::All) = (&passed.plan, extent) {
            picture.looked = true;
            picture.findings = plan
                .findings
                .iter()
                .map(|finding| FindingPicture {
                    code: finding.code.to_string(),
                    subject: finding.subjects.join(", "),
                    message: finding.message.clone(),
                })
                .collect();
        }
        match &passed.failure {
            Some(why) => {
                picture.counters.failures += 1;
                picture.failure = Some(why.clone());
            }
            None if *extent == Extent::All => picture.failure = None,
            None => {}
        }
        if right && passed.writes > 0 {
            picture.counters.applies += 1;
            picture.counters.writes += passed.writes as u64;
        }
        if let Some(rollback) = &passed.rollback {
            match rollback.remaining.is_empty() {
                true => picture.counters.rollbacks += 1,
                false => picture.counters.not_rolled_back += 1,
            }
        }
        drop(picture);
        self.log_pass(passed, took);
    }

    fn log_pass(&mut self, passed: &Passed, took: Duration) {
        if passed.writes > 0
            && let Some(plan) = &passed.plan
        {
            let commands: Vec<String> = plan
                .steps
                .iter()
                .take(4)
                .map(|step| step.op.to_string())
                .collect();
            self.log.say(
                Level::Info,
                "applied",
                &[
                    ("writes", &passed.writes),
                    ("took", &format!("{took:?}")),
                    ("commands", &commands.join("; ")),
                ],
            );
        }
        let Some(why) = &passed.failure else { return };
        match &passed.rollback {
            Some(rollback) if !rollback.remaining.is_empty() => {
                let left: Vec<String> = rollback
                    .remaining
                    .iter()
                    .map(|(op, _)| op.command().to_string())
                    .collect();
                self.log.say(
                    Level::Error,
                    "not-rolled-back",
                    &[("why", why), ("left", &left.join("; "))],
                );
            }
            Some(rollback) => {
                self.log.say(
                    Level::Warning,
                    "rolled-back",
                    &[("why", why), ("undone", &rollback.undone.len())],
                );
            }
            None => self.log.say(Level::Warning, "pass-failed", &[("why", why)]),
        }
    }

    /// Reads the document again; a bad one leaves the old one in force.
    fn load(&mut self) {
        self.notify.reloading();
        let read = accepted(self.source.read(), &self.keeper.store);
        self.picture().counters.loads += 1;
        match read {
            Ok(document) => {
                let same = document.hash == self.document.hash;
                self.document = document;
                self.took_document(None);
                self.log.say(
                    Level::Info,
                    "loaded",
                    &[("document", &short(&self.document.hash)), ("changed", &!same)],
                );
                let now = self.now();
                self.reconciler
                    .handle(Event::Loaded(interest(&self.document)), now);
            }
            Err(why) => {
                self.picture().counters.load_failures += 1;
                self.rejected(&why);
            }
        }
        self.look_for_pause();
        self.notify.tell("READY=1");
    }

    fn rejected(&mut self, why: &str) {
        self.picture().document.rejected = Some(why.to_owned());
        let fields: &[(&str, &dyn std::fmt::Display)] =
            &[("kept", &short(&self.document.hash)), ("why", &why)];
        self.log.say(Level::Error, "document-rejected", fields);
    }

    /// A document is in force: what it concerns is watched.
    fn took_document(&mut self, rejected: Option<String>) {
        for path in self.source.paths() {
            self.files.watch(&path, Role::Document);
        }
        for path in &self.document.scope().files {
            self.files.watch(path, Role::Owned);
        }
        {
            let mut picture = self.picture();
            picture.document.hash.clone_from(&self.document.hash);
            picture.document.owner.clone_from(&self.document.owner);
            picture.document.files = self
                .source
                .paths()
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            picture.document.loaded = now();
            picture.document.rejected = None;
            picture.looked = false;
        }
        match rejected {
            Some(why) => {
                self.picture().counters.load_failures += 1;
                self.rejected(&why);
            }
            None => {
                if let Err(error) = self.keeper.store.keep_good(&self.document.canonical) {
                    self.log
                        .say(Level::Warning, "document-not-kept", &[("why", &error)]);
                }
            }
        }
    }

    /// Looks whether somebody has paused the service, or ended a pause.
    fn look_for_pause(&mut self) {
        let paused = match self.keeper.store.paused(now()) {
            Ok(paused) => paused,
            Err(error) => {
                // Nobody knows what was meant: nothing is written, and it is said.
                self.log.say(Level::Error, "pause", &[("why", &error)]);
                let reason = error.message;
                Some(Pause::unknown(now(), reason))
            }
        };
        let at = self.now();
        let event = match &paused {
            Some(pause) => Event::Paused(at + Duration::from_secs(pause.until.saturating_sub(now()))),
            None if self.reconciler.paused().is_some() => Event::Resumed,
            None => return,
        };
        let shown = paused.map(|Pause { until, since, by, .. }| PausePicture { until, since, by });
        match &shown {
            Some(pause) => self.log.say(
                Level::Warning,
                "paused",
                &[("until", &pause.until), ("by", &pause.by)],
            ),
            None => self.log.say(Level::Info, "resumed", &[]),
        }
        self.picture().paused = shown;
        self.reconciler.handle(event, at);
    }

    /// Tells what became known since.
    fn publish(&mut self) {
        let now = self.now();
        for report in self.reconciler.reports() {
            self.report(&report);
        }
        let alone: Vec<AlonePicture> = self
            .reconciler
            .left_alone()
            .map(|(fact, alone)| {
                let writers = self.writers.get(fact).cloned().unwrap_or_default();
                AlonePicture::new(fact, alone, now, writers)
            })
            .collect();
        let gone = std::mem::take(&mut self.gone);
        let status = {
            let mut picture = self.picture();
            picture.left_alone = alone;
            picture.forget(&gone);
            if self.reconciler.paused().is_none() {
                picture.paused = None;
            }
            picture.sentence()
        };
        if status != self.status {
            let first = if self.status.is_empty() { "READY=1\n" } else { "" };
            self.notify.tell(&format!("{first}STATUS={status}"));
            self.status = status;
        }
    }

    fn report(&mut self, report: &Report) {
        match report {
            Report::Began(fact, alone) | Report::GoesOn(fact, alone) => {
                let event = match alone.why {
                    crate::reconcile::Why::Flaps => "flap",
                    crate::reconcile::Why::Refused(_) => "left-alone",
                };
                if let (Report::Began(..), "flap") = (report, event) {
                    self.picture().counters.flaps += 1;
                }
                let reason = match &alone.why {
                    crate::reconcile::Why::Flaps => "another program writes it too".to_owned(),
                    crate::reconcile::Why::Refused(reason) => reason.clone(),
                };
                let writers = self
                    .writers
                    .entry(fact.clone())
                    .or_insert_with(|| writers::of(fact))
                    .join(", ");
                self.log.say(
                    Level::Warning,
                    event,
                    &[
                        ("fact", fact),
                        ("times", &alone.times),
                        ("pause", &format!("{:?}", alone.pause)),
                        ("why", &reason),
                        ("writers", &writers),
                    ],
                );
            }
            Report::Ended(fact) => {
                self.writers.remove(fact);
                self.log.say(Level::Info, "at-peace", &[("fact", fact)]);
            }
        }
    }
}

/// A document that was read and that was not rolled back before.
fn accepted(read: Result<Document, String>, store: &Store) -> Result<Document, String> {
    let document = read?;
    match store.rejection(Some(&document.hash)) {
        Ok(None) => Ok(document),
        Ok(Some(rejection)) => Err(format!("it was rolled back before: {}", rejection.reason)),
        Err(error) => Err(error.message),
    }
}

fn last_good(store: &Store, netns: &Netns) -> Option<Document> {
    let text = store.last_good().ok()??;
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let node = sources.load("document.json", text.into_bytes(), None, &mut diagnostics)?;
    let document = Document::read(vec![node], netns.clone(), &mut diagnostics);
    diagnostics.is_empty().then_some(document)
}

/// A hash as people compare it.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
