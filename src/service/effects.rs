//! The event sources and the outputs of the service: everything that reads or changes the world.

pub(crate) mod cluster;
mod line_queue;
pub(crate) mod log;
pub(crate) mod notify;
pub(crate) mod page;
pub(crate) mod policies;
pub(crate) mod restart;
pub(crate) mod writers;

use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;

use crate::effects::cluster::ClusterFollower;
use crate::effects::log::Log;
use crate::effects::notify::Notify;
use crate::effects::page::PageReader;
use crate::effects::policies::PolicyFollower;
use crate::inbox::Message;
use crate::options::{Options, Source};
use crate::pass::PassRunner;
use crate::watch::files::FileWatches;
use crate::watch::handshakes::Handshakes;
use crate::watch::losses::Losses;
use crate::watch::paths::Paths;
use crate::watch::probes::Probes;
use crate::watch::promise::Promise;
use crate::watch::readable::readable;
use netkeel_apply::clock::since_boot;
use netkeel_apply::store::Store;
use netkeel_kernel::netlink::interrupt::Interrupt;
use netkeel_kernel::rtnetlink::events::Events;
use netkeel_reconcile::event::Now;
use netkeel_replicate::handover::KeptGroup;
use netkeel_replicate::supervisor::Supervisor;

/// Maximum time between signs of life.
const ALIVE: Duration = Duration::from_secs(10);

/// The effects.
pub(crate) struct Effects<'a> {
    pub source: &'a mut dyn Source,
    /// Hash of the source's content, and when it was last computed.
    pub digest: (u64, Instant),
    pub(crate) runner: PassRunner,
    /// Messages of clients and signals.
    pub(crate) inbox: Receiver<Message>,
    /// Set by the signals that stop the service.
    pub(crate) interrupt: Interrupt,
    pub events: Events,
    pub files: FileWatches,
    pub(crate) notify: Notify,
    pub log: Log,
    /// When the service started, since boot.
    pub(crate) start: Duration,
    /// Paths whose MTU the document depends on.
    pub paths: Paths,
    /// Counts lost packets.
    pub(crate) losses: Losses,
    /// Probes that are repeated.
    pub(crate) probes: Probes,
    /// WireGuard interfaces whose handshakes are checked.
    pub(crate) handshakes: Handshakes,
    /// Follows the cluster that names the worker's peers.
    pub(crate) cluster: ClusterFollower,
    /// Follows the cluster's policies, and writes the state of the node.
    pub(crate) policies: Option<PolicyFollower>,
    /// Keeps the replication worker running.
    pub supervisor: Supervisor,
    /// An apply that waits to be confirmed.
    pub(crate) promise: Promise,
    /// When the rules that the run before left are tried to be removed again; `None` if none are left.
    pub(crate) left_rules_due: Option<Now>,
    /// Reads parts of the page.
    pub(crate) page: PageReader,
}

/// The messages and event sources, which exist before the service.
pub(crate) struct Inputs {
    /// Messages of clients and signals.
    pub(crate) inbox: Receiver<Message>,
    /// Set by the signals that stop the service.
    pub(crate) interrupt: Interrupt,
    /// Kernel events.
    pub(crate) events: Events,
    /// Follows the cluster.
    pub(crate) cluster: ClusterFollower,
    /// Follows the cluster's policies.
    pub(crate) policies: Option<PolicyFollower>,
}

impl<'a> Effects<'a> {
    /// The effects of a service that has not read its document yet.
    pub(crate) fn new(options: &Options, source: &'a mut dyn Source, store: Store, inputs: Inputs) -> Self {
        let digest = (source.digest(), Instant::now());
        let Inputs {
            inbox,
            interrupt,
            events,
            cluster,
            policies,
        } = inputs;
        let mut notify = Notify::new();
        let mut supervisor = Supervisor::new(options.netns.clone(), None);
        if let Some(kept) = KeptGroup::passed() {
            // Otherwise systemd's copy would keep the group bound.
            notify.forget(&kept);
            // The options may name another namespace than before.
            if options.netns.name().is_none() {
                supervisor.inherit(kept);
            }
        }
        Effects {
            source,
            digest,
            runner: PassRunner::new(store, options, interrupt.clone()),
            inbox,
            interrupt,
            events,
            files: FileWatches::new(),
            notify,
            log: Log::new(),
            start: since_boot(),
            paths: Paths::new(options.netns.clone(), options.interval),
            losses: Losses::new(options.netns.clone(), options.interval),
            probes: Probes::new(options.netns.clone(), options.interval),
            handshakes: Handshakes::default(),
            cluster,
            policies,
            supervisor,
            promise: Promise::new(),
            left_rules_due: None,
            page: PageReader::default(),
        }
    }

    /// The time since the service started. It includes sleep of the host, so that an interval or a pause does
    /// not last longer by it.
    pub(crate) fn now(&self) -> Now {
        since_boot().saturating_sub(self.start)
    }

    /// Waits for a message, which is returned, for an event, or until `due`. While the rate limit holds
    /// a pass back (`held_back`), events need not wake the loop: that would only cost CPU.
    pub(crate) async fn wait(&mut self, due: Option<Now>, held_back: bool) -> Option<Message> {
        let now = Instant::now();
        let left = |at: Instant| at.saturating_duration_since(now);
        let due = due.map(|due| due.saturating_sub(self.now()));
        let worker = self.supervisor.due().map(left);
        let paths = self.paths.due().map(left);
        let losses = Some(left(self.losses.due()));
        let probes = self.probes.due().map(left);
        let left_rules = self.left_rules_due.map(|due| due.saturating_sub(self.now()));
        let others = [
            due,
            worker,
            paths,
            losses,
            probes,
            left_rules,
            self.promise.due(),
            self.notify.watchdog(),
        ];
        let timeout = others.into_iter().flatten().fold(ALIVE, Duration::min);
        let mut sources = Vec::new();
        if !held_back {
            sources.extend(self.events.fds());
            sources.extend(self.files.descriptor());
        }
        sources.extend(self.supervisor.descriptor());
        let message = tokio::select! {
            message = self.inbox.recv() => message,
            () = readable(&sources) => None,
            () = tokio::time::sleep(timeout) => None,
        };
        self.notify.send(&[sd_notify::NotifyState::Watchdog]);
        message
    }
}
