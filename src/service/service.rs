//! The main loop: wait for events, ask the reconciler for the next action, run it, report.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;

use crate::document::{accepted, interest, last_good, short};
use crate::log::{Level, Log};
use crate::notify::Notify;
use crate::options::{Options, Source};
use crate::pass::PassRunner;
use crate::view::KernelView;
use crate::watch::files::FileWatches;
use crate::watch::handshakes::Handshakes;
use crate::watch::paths::Paths;
use crate::watch::promise::Promise;
use crate::watch::signals::{Asked, Signals};
use netkeel_apply::engine::guard::Guard;
use netkeel_apply::recover::settle;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::ledger::LedgerFile;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_document::document::Document;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::rtnetlink::events::Events;
use netkeel_plan::goal::part::Extent;
use netkeel_reconcile::event::{Action, Event, Now};
use netkeel_reconcile::reconciler::Reconciler;
use netkeel_reconcile::status::Status;
use netkeel_replicate::supervisor::Supervisor;

/// Minimum time between purges of the ledger after full scans; just below the default `--interval`.
const PURGE_INTERVAL: Duration = Duration::from_secs(240);

/// Minimum number of deleted interfaces for an earlier purge, which limits the memory that their entries take.
const PURGE_THRESHOLD: usize = 128;

/// Maximum time between signs of life.
const ALIVE: Duration = Duration::from_secs(10);

/// The service.
pub(crate) struct Service<'a> {
    pub source: &'a mut dyn Source,
    /// Hash of the source's content, and when it was last computed.
    pub digest: (u64, Instant),
    pub document: Document,
    pub enforces: bool,
    pub dry_run: bool,
    pub(crate) runner: PassRunner,
    pub(crate) reconciler: Reconciler,
    pub(crate) signals: Signals,
    pub events: Events,
    pub files: FileWatches,
    pub(crate) notify: Notify,
    pub log: Log,
    pub start: Instant,
    /// The status shared with the HTTP thread.
    pub(crate) status: Arc<Mutex<Status>>,
    /// Wakes the service to check whether it is paused.
    pub(crate) woken: UnixStream,
    pub gone: Vec<u32>,
    /// Likely writers of suspended facts.
    pub writers: BTreeMap<Fact, Vec<String>>,
    pub(crate) tidied: Instant,
    /// Number of interfaces deleted since the last purge.
    pub(crate) went: usize,
    /// Paths whose MTU the document depends on.
    pub paths: Paths,
    /// WireGuard interfaces whose handshakes are checked.
    pub(crate) handshakes: Handshakes,
    /// Keeps the replication worker running.
    pub supervisor: Supervisor,
    /// The status line that `systemctl status` shows.
    pub status_line: String,
    /// An apply that waits to be confirmed.
    pub(crate) promise: Promise,
}

/// The event sources, except files.
pub(crate) struct EventSources {
    pub(crate) signals: Signals,
    /// Kernel events.
    pub events: Events,
    /// Wakes the service to check whether it is paused.
    pub(crate) woken: UnixStream,
}

impl<'a> Service<'a> {
    /// Reads the document, or the last good one if that fails.
    ///
    /// # Errors
    /// When neither can be read.
    pub fn new(
        options: &'a Options,
        source: &'a mut dyn Source,
        store: Store,
        sources: EventSources,
        status: Arc<Mutex<Status>>,
    ) -> Result<Self, Error> {
        let mut log = Log::new();
        let EventSources {
            signals,
            events,
            woken,
        } = sources;
        woken
            .set_nonblocking(true)
            .map_err(|error| Error::new(ErrorKind::Refused, error.to_string()))?;
        let digest = (source.digest(), Instant::now());
        // Before the document is accepted: after a power cut the one that nobody confirmed is rejected. What
        // hinders it is reported by the first pass.
        let recovered = match options.enforces {
            true => settle(&store, &options.netns, &actor(), Duration::ZERO),
            false => Err(Error::new(ErrorKind::Refused, "the service observes only").into()),
        };
        let recovered = recovered.ok().and_then(|(_, undone)| undone);
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
            digest,
            runner: PassRunner {
                actor: actor(),
                recovered,
                guard,
                lossy: options.lossy,
                ledger: LedgerFile::default(),
                withheld: BTreeMap::new(),
                store,
            },
            document,
            reconciler,
            signals,
            events,
            files: FileWatches::new()?,
            notify: Notify::new(),
            start: Instant::now(),
            status,
            woken,
            gone: Vec::new(),
            writers: BTreeMap::new(),
            tidied: Instant::now(),
            went: 0,
            paths: Paths::new(options.netns.clone(), options.interval),
            handshakes: Handshakes::default(),
            supervisor: Supervisor::new(options.netns.clone(), None),
            enforces: options.enforces,
            dry_run: options.dry_run,
            status_line: String::new(),
            promise: Promise::new(),
            log: Log::new(),
        };
        log.say(
            Level::Info,
            "started",
            &[
                ("mode", &service.status().mode),
                ("document", &short(&service.document.hash)),
                ("interval", &format!("{:?}", options.interval)),
            ],
        );
        service.status().dry_run = options.dry_run;
        service.document_loaded(rejected);
        service.read_pause();
        Ok(service)
    }

    /// Runs until a signal stops it.
    ///
    /// # Errors
    /// Does not fail: errors are logged and retried.
    pub fn run(&mut self, live: &mut Live) -> Result<(), Error> {
        loop {
            let (more, now) = {
                let mut lost = 0;
                let mut view = self.view(live, &mut lost);
                let listened = (view.listen(), view.now());
                self.count_lost(lost);
                listened
            };
            if self.was_woken() {
                self.read_pause();
            }
            match self.signals.take() {
                Some(Asked::Stop) => break,
                Some(Asked::Reload) => self.reconciler.handle(Event::Reload, now),
                None => {}
            }
            self.keep_promise();
            self.poll_worker();
            self.poll_document();
            self.poll_paths(live);
            if let Some(seen) = self.handshakes.poll(live) {
                self.status().handshakes = seen;
            }
            match self.reconciler.poll(now) {
                Some(Action::Load) => self.load(),
                Some(Action::Pass {
                    extent,
                    except,
                    writes,
                }) => self.pass(live, extent, &except, writes),
                None if !more => {
                    self.report_recovered();
                    self.publish();
                    self.purge_if_idle(live);
                    self.wait();
                }
                None => {}
            }
        }
        self.notify.send("STOPPING=1");
        self.remove_on_stop(live);
        self.supervisor.stop();
        self.log.say(Level::Info, "stopped", &[]);
        Ok(())
    }

    /// Removes what exists only while the service runs, if the service writes.
    fn remove_on_stop(&mut self, live: &mut Live) {
        if self.status().mode != "enforce" {
            return;
        }
        if let Err(error) = self.runner.stop(&self.document, live) {
            let why = error.message;
            self.log.say(Level::Warning, "not-given-back", &[("why", &why)]);
        }
    }

    /// Undoes an apply that nobody confirmed if its watchdog does not. A pause of the service does not pause a
    /// promise.
    fn keep_promise(&mut self) {
        if !self.enforces || !self.promise.is_due(&self.runner.store) {
            return;
        }
        let netns = self.document.netns.clone();
        if let Err(error) = self.runner.begin(&netns, Duration::ZERO) {
            self.log
                .say(Level::Warning, "promise-overdue", &[("why", &error.message)]);
        }
        self.report_recovered();
    }

    fn view<'b>(&'b mut self, live: &'b mut Live, lost: &'b mut u64) -> KernelView<'b> {
        KernelView {
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
            self.status().counters.events_lost += lost;
            self.log.say(
                Level::Warning,
                "events-lost",
                &[("then", &"the whole host is scanned")],
            );
        }
    }

    pub fn now(&self) -> Now {
        self.start.elapsed()
    }

    pub(crate) fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_woken(&mut self) -> bool {
        let mut bytes = [0; 64];
        let mut woken = false;
        while self.woken.read(&mut bytes).is_ok_and(|length| length > 0) {
            woken = true;
        }
        woken
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        let due = self
            .reconciler
            .wakes()
            .map(|wake| wake.saturating_sub(self.now()));
        let worker = self
            .supervisor
            .due()
            .map(|due| due.saturating_duration_since(Instant::now()));
        let paths = self
            .paths
            .due()
            .map(|due| due.saturating_duration_since(Instant::now()));
        let promise = self.promise.due();
        let others = [Some(ALIVE), due, worker, paths, promise, self.notify.watchdog()];
        let timeout = others.into_iter().flatten().min();
        let mut fds: Vec<PollFd<'_>> = self
            .signals
            .fds()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        // While the rate limit holds a pass back, events need not wake the loop: that would only cost CPU.
        if !self.reconciler.waits_for_its_turn(self.now()) {
            fds.extend(self.events.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            fds.push(PollFd::new(self.files.as_fd(), PollFlags::POLLIN));
        }
        fds.push(PollFd::new(self.woken.as_fd(), PollFlags::POLLIN));
        let worker = self.supervisor.descriptor();
        fds.extend(worker.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        // The caller checks all sources, so an interrupted wait is not an error.
        let _ = nix::poll::ppoll(&mut fds, timeout.map(TimeSpec::from_duration), None);
        self.notify.send("WATCHDOG=1");
        self.status().alive = Instant::now();
    }

    /// Starts a full scan when the MTU of a path changed.
    fn poll_paths(&mut self, live: &mut Live) {
        for (target, measured) in self.paths.poll(live) {
            match measured {
                Ok(mtu) => {
                    let fields: &[(&str, &dyn std::fmt::Display)] = &[("to", &target), ("mtu", &mtu)];
                    self.log.say(Level::Info, "path", fields);
                    let now = self.now();
                    self.reconciler.handle(Event::Everything, now);
                }
                Err(error) => {
                    let fields: &[(&str, &dyn std::fmt::Display)] = &[("to", &target), ("why", &error)];
                    self.log.say(Level::Warning, "path-not-measured", fields);
                }
            }
        }
    }

    fn pass(&mut self, live: &mut Live, extent: Extent, except: &BTreeSet<Fact>, writes: bool) {
        if extent == Extent::All {
            self.check_document();
        }
        let begun = Instant::now();
        let mut lost = 0;
        let passed = {
            let mut view = KernelView {
                kernel: live,
                events: &mut self.events,
                files: &mut self.files,
                reconciler: &mut self.reconciler,
                start: self.start,
                gone: &mut self.gone,
                lost: &mut lost,
            };
            self.runner
                .pass(&self.document, &mut view, &extent, except, writes)
        };
        self.count_lost(lost);
        let took = begun.elapsed();
        self.report_recovered();
        self.report_pass(&extent, except, &passed, took);
        // The writes may have loaded nftables into the kernel.
        if passed.writes > 0 {
            self.follow_rules();
        }
        let now = self.now();
        let done = extent == Extent::All && passed.failure.is_none();
        self.reconciler.handle(Event::Ended(extent, passed.outcome), now);
        if done && writes && self.tidied.elapsed() > PURGE_INTERVAL {
            self.purge(live);
        }
    }

    /// Purges ledger entries once many interfaces were deleted. A purge reads all interfaces, so the
    /// threshold grows with their number.
    fn purge_if_idle(&mut self, live: &mut Live) {
        let many = self.went > PURGE_THRESHOLD.max(self.reconciler.known.count() / 4);
        let writes = self.enforces && self.reconciler.paused().is_none();
        let busy = self.reconciler.waits_for_its_turn(self.now());
        if many && writes && !busy {
            self.purge(live);
        }
    }

    fn purge(&mut self, live: &mut Live) {
        self.tidied = Instant::now();
        self.went = 0;
        let forgotten = self.runner.forget_gone(&self.document, live);
        self.report_recovered();
        if let Err(error) = forgotten {
            self.log.say(Level::Warning, "ledger", &[("why", &error)]);
        }
    }
}
