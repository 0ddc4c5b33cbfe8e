//! The loop: wait, listen, ask the state machine, do, tell.

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
use crate::watch::files::Files;
use crate::watch::handshakes::Handshakes;
use crate::watch::paths::Paths;
use crate::watch::signals::{Asked, Signals};
use netkeel_apply::engine::guard::Guard;
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

/// The ledger is rid of interfaces that are gone at most once in this time: with each regular look at
/// the whole host, as `--interval` has it by default.
const TIDY: Duration = Duration::from_secs(240);

/// Before that, when so many went: what is known of thousands takes room, and to let go of it takes more.
const TIDY_AFTER: usize = 128;

/// It shows that it is alive at least this often.
const ALIVE: Duration = Duration::from_secs(10);

/// The service.
pub(crate) struct Service<'a> {
    pub source: &'a mut dyn Source,
    /// What was read from it last, and when that was looked at.
    pub digest: (u64, Instant),
    pub document: Document,
    pub enforces: bool,
    pub dry_run: bool,
    pub(crate) keeper: PassRunner,
    pub(crate) reconciler: Reconciler,
    pub(crate) signals: Signals,
    pub events: Events,
    pub files: Files,
    pub(crate) notify: Notify,
    pub log: Log,
    pub start: Instant,
    /// What others may see.
    pub(crate) picture: Arc<Mutex<Status>>,
    /// Somebody wants it to look whether it is paused.
    pub(crate) woken: UnixStream,
    pub gone: Vec<u32>,
    /// Who else writes what is left alone.
    pub writers: BTreeMap<Fact, Vec<String>>,
    pub(crate) tidied: Instant,
    /// How many interfaces went since.
    pub(crate) went: usize,
    /// Paths that budgets stand on.
    pub paths: Paths,
    /// WireGuard interfaces that are to be alive.
    pub(crate) handshakes: Handshakes,
    /// Keeps the worker running that replicates.
    pub supervisor: Supervisor,
    /// What `systemctl status` shows.
    pub status: String,
}

/// What it hears by beside files.
pub(crate) struct EventSources {
    /// Signals.
    pub(crate) signals: Signals,
    /// What the kernel tells.
    pub events: Events,
    /// Somebody wants it to look whether it is paused.
    pub(crate) woken: UnixStream,
}

impl<'a> Service<'a> {
    /// Reads the document, or takes the last good one.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(
        options: &'a Options,
        source: &'a mut dyn Source,
        store: Store,
        senses: EventSources,
        picture: Arc<Mutex<Status>>,
    ) -> Result<Self, Error> {
        let mut log = Log::new();
        let EventSources {
            signals,
            events,
            woken,
        } = senses;
        woken
            .set_nonblocking(true)
            .map_err(|error| Error::new(ErrorKind::Refused, error.to_string()))?;
        let digest = (source.digest(), Instant::now());
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
            keeper: PassRunner {
                actor: actor(),
                recovered: None,
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
            files: Files::new()?,
            notify: Notify::new(),
            start: Instant::now(),
            picture,
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
        service.picture().dry_run = options.dry_run;
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
            if self.was_woken() {
                self.look_for_pause();
            }
            match self.signals.take() {
                Some(Asked::Stop) => break,
                Some(Asked::Reload) => self.reconciler.handle(Event::Reload, now),
                None => {}
            }
            self.mind_worker();
            self.mind_document();
            self.mind_paths(live);
            if let Some(seen) = self.handshakes.look(live) {
                self.picture().handshakes = seen;
            }
            match self.reconciler.poll(now) {
                Some(Action::Load) => self.load(),
                Some(Action::Pass {
                    extent,
                    except,
                    writes,
                }) => self.pass(live, extent, &except, writes),
                None if !more => {
                    self.tell_recovered();
                    self.publish();
                    self.tidy_in_a_lull(live);
                    self.wait();
                }
                None => {}
            }
        }
        self.notify.tell("STOPPING=1");
        self.give_back(live);
        self.supervisor.stop();
        self.log.say(Level::Info, "stopped", &[]);
        Ok(())
    }

    /// Gives back what is held only while the service runs, where it writes at all.
    fn give_back(&mut self, live: &mut Live) {
        if self.picture().mode != "enforce" {
            return;
        }
        if let Err(error) = self.keeper.stop(&self.document, live) {
            let why = error.message;
            self.log.say(Level::Warning, "not-given-back", &[("why", &why)]);
        }
    }

    fn hearing<'b>(&'b mut self, live: &'b mut Live, lost: &'b mut u64) -> KernelView<'b> {
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
            self.picture().counters.events_lost += lost;
            self.log.say(
                Level::Warning,
                "events-lost",
                &[("then", &"the whole host is looked at")],
            );
        }
    }

    pub fn now(&self) -> Now {
        self.start.elapsed()
    }

    pub(crate) fn picture(&self) -> MutexGuard<'_, Status> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
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
        let others = [Some(ALIVE), due, worker, paths, self.notify.watchdog()];
        let timeout = others.into_iter().flatten().min();
        let mut fds: Vec<PollFd<'_>> = self
            .signals
            .fds()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        // A storm of events would wake it for each of them, only to wait for its turn once more.
        if !self.reconciler.waits_for_its_turn(self.now()) {
            fds.extend(self.events.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            fds.push(PollFd::new(self.files.as_fd(), PollFlags::POLLIN));
        }
        fds.push(PollFd::new(self.woken.as_fd(), PollFlags::POLLIN));
        let worker = self.supervisor.descriptor();
        fds.extend(worker.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        // Interrupted or not, whoever calls looks at everything.
        let _ = nix::poll::ppoll(&mut fds, timeout.map(TimeSpec::from_duration), None);
        self.notify.tell("WATCHDOG=1");
        self.picture().alive = Instant::now();
    }

    /// Looks at everything when a path takes another MTU than before.
    fn mind_paths(&mut self, live: &mut Live) {
        for (target, measured) in self.paths.mind(live) {
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
            self.look_at_document();
        }
        let begun = Instant::now();
        let mut lost = 0;
        let passed = {
            let mut hearing = KernelView {
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
        let took = begun.elapsed();
        self.tell_recovered();
        self.tell(&extent, except, &passed, took);
        // What it has written may have brought nftables into the kernel.
        if passed.writes > 0 {
            self.follow_rules();
        }
        let now = self.now();
        let done = extent == Extent::All && passed.failure.is_none();
        self.reconciler.handle(Event::Ended(extent, passed.outcome), now);
        if done && writes && self.tidied.elapsed() > TIDY {
            self.tidy(live);
        }
    }

    /// Rids the ledger of interfaces that are gone when many are. It looks for them among all that are
    /// there: the more there are, the more have to have gone.
    fn tidy_in_a_lull(&mut self, live: &mut Live) {
        let many = self.went > TIDY_AFTER.max(self.reconciler.known.count() / 4);
        let writes = self.enforces && self.reconciler.paused().is_none();
        let busy = self.reconciler.waits_for_its_turn(self.now());
        if many && writes && !busy {
            self.tidy(live);
        }
    }

    fn tidy(&mut self, live: &mut Live) {
        self.tidied = Instant::now();
        self.went = 0;
        let forgotten = self.keeper.forget_gone(&self.document, live);
        self.tell_recovered();
        if let Err(error) = forgotten {
            self.log.say(Level::Warning, "ledger", &[("why", &error)]);
        }
    }
}
