//! Starts the worker, sends it settings, reads its messages, and restarts it when it ends. Nothing in
//! this module blocks: the caller polls the descriptor and calls the supervisor when something is due.

pub mod child_reaper;
mod cluster_list;
pub mod lifecycle;
pub mod peers_file;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::control::Control;
use crate::handover::{Channel, KeptGroup};
use crate::message::{FromWorker, ToWorker};
use crate::privileges;
use crate::supervisor::child_reaper::{ChildReaper, END};
use crate::supervisor::cluster_list::ClusterList;
use crate::supervisor::lifecycle::{Action, Event, Lifecycle, Phase};
use crate::supervisor::peers_file::PeersFile;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::replication::cluster_peers::PeerNews;
use netkeel_core::replication::settings::{Replication, Settings};
use netkeel_core::replication::statistics::Statistics;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};
use netkeel_kernel::namespace::enter;

/// The hidden verb that runs netkeel as the worker.
const VERB: &str = "replicate-worker";

/// A record for the log. It holds no data from a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The severity of the record.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub text: String,
}

/// The severity of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Normal operation.
    Information,
    /// Packets are not replicated.
    Error,
}

pub(crate) struct Running {
    child: Child,
    control: Control,
    /// To the worker's helper.
    handover: Channel,
    uid: Option<u32>,
    statistics: Option<Statistics>,
}

/// The supervisor of one worker.
///
/// Call [`Supervisor::want`] after reading a document, and [`Supervisor::poll`] when its descriptor is
/// readable or [`Supervisor::due`] has come. Log the records that they return.
pub struct Supervisor {
    netns: Netns,
    program: PathBuf,
    begin: Instant,
    lifecycle: Lifecycle,
    /// The replication section of the document.
    wanted: Option<Replication>,
    file: Option<PeersFile>,
    /// The peers that the cluster names.
    cluster: ClusterList,
    /// The worker's current settings: the document, the peers file and the cluster together.
    settings: Option<Settings>,
    running: Option<Running>,
    /// The group of the service before, for the first worker.
    kept: Option<KeptGroup>,
    /// Workers that were stopped but have not ended yet.
    ending: ChildReaper,
    error: Option<String>,
    /// Set while the worker rejects its settings: the number of attempts, and the time of the next one.
    refused: Option<(u32, Instant)>,
}

/// The error of a worker that ended, until the kernel reports its exit status.
const ENDED: &str = "the replication worker ended";

/// The first and the longest pause before rejected settings are sent again.
const RETRY: Duration = Duration::from_secs(1);

const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// How often the supervisor checks whether a worker has exited.
const EXIT_POLL: Duration = Duration::from_millis(100);

impl Supervisor {
    /// A supervisor for a namespace. It starts `program`, which must be netkeel; by default the running
    /// executable, even after its file was replaced.
    pub fn new(netns: Netns, program: Option<PathBuf>) -> Self {
        Supervisor {
            netns,
            program: program.unwrap_or_else(|| "/proc/self/exe".into()),
            begin: Instant::now(),
            lifecycle: Lifecycle::default(),
            wanted: None,
            file: None,
            cluster: ClusterList::default(),
            settings: None,
            running: None,
            kept: None,
            ending: ChildReaper::default(),
            error: None,
            refused: None,
        }
    }

    /// Gives the first worker the group that the service before has bound.
    pub fn inherit(&mut self, kept: KeptGroup) {
        self.kept = Some(kept);
    }

    /// The group of the running worker, for the next service. The worker goes on reading it until it is stopped.
    pub fn keep(&self) -> Option<KeptGroup> {
        self.running.as_ref()?.handover.ask()
    }

    /// Sets the wanted replication; `None` stops the worker. A running worker gets the new settings and
    /// loses no packets.
    pub fn want(&mut self, wanted: Option<Replication>) -> Vec<LogRecord> {
        let mut records = Vec::new();
        self.kept = self.kept.take().filter(|_| wanted.is_some());
        if wanted == self.wanted {
            return records;
        }
        let path = wanted.as_ref().and_then(|wanted| wanted.peers_file.as_deref());
        if path != self.file.as_ref().map(PeersFile::path) {
            self.file = path.map(PeersFile::new);
        }
        let source = |wanted: &Option<Replication>| wanted.as_ref().and_then(|wanted| wanted.cluster.clone());
        if source(&wanted) != source(&self.wanted) {
            self.cluster = ClusterList::default();
        }
        self.wanted = wanted;
        self.look_at_file(&mut records);
        self.update_settings(&mut records);
        records
    }

    /// Takes what was learned of the peers that the cluster names.
    pub fn learn(&mut self, news: PeerNews) -> Vec<LogRecord> {
        let mut records = Vec::new();
        if let Some(text) = self.cluster.take(news) {
            records.push(LogRecord {
                severity: Severity::Error,
                text,
            });
        }
        self.update_settings(&mut records);
        records
    }

    fn look_at_file(&mut self, records: &mut Vec<LogRecord>) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        let changed = file.poll(Instant::now());
        if let (true, Some(error)) = (changed, file.error()) {
            records.push(LogRecord {
                severity: Severity::Error,
                text: format!("{error}: the previous peers stay in use"),
            });
        }
        changed
    }

    /// Combines the document, the peers file and the cluster, and sends the settings to the worker when they
    /// changed.
    fn update_settings(&mut self, records: &mut Vec<LogRecord>) {
        let settings = self.wanted.as_ref().map(|wanted| {
            let mut settings = wanted.settings.clone();
            let more = self.file.as_ref().map(PeersFile::peers).unwrap_or_default();
            settings.peers.extend(more);
            if wanted.cluster.is_some() {
                settings.peers.extend(self.cluster.peers());
            }
            settings
        });
        if settings == self.settings {
            return;
        }
        self.settings = settings;
        self.configure();
        self.step(Event::Wanted(self.settings.is_some()), records);
    }

    /// Sends the settings to the running worker.
    fn configure(&mut self) {
        if let (Some(running), Some(settings)) = (&mut self.running, &self.settings) {
            running
                .control
                .send(&ToWorker::Configure(Box::new(settings.clone())));
        }
    }

    /// Sends rejected settings again: another program may have released the group.
    fn retry_configure(&mut self) {
        let now = Instant::now();
        if let Some((times, due)) = self.refused
            && due <= now
        {
            // Wait for the answer.
            self.refused = Some((times, now + RETRY_LONGEST));
            self.configure();
        }
    }

    /// The descriptor to poll for reading; it changes when the worker is restarted.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| running.control.as_fd())
    }

    /// When to call [`Supervisor::poll`] at the latest.
    pub fn due(&self) -> Option<Instant> {
        let lifecycle = self.lifecycle.due().map(|due| self.begin + due);
        let behind = self.running.as_ref().is_some_and(|one| one.control.has_unsent());
        let exits = (!self.ending.is_empty() || behind).then(|| Instant::now() + EXIT_POLL);
        let file = self.file.as_ref().map(PeersFile::due);
        let again = self
            .refused
            .filter(|_| self.running.is_some())
            .map(|(_, due)| due);
        lifecycle.into_iter().chain(exits).chain(file).chain(again).min()
    }

    /// Reads the worker's messages and performs due actions.
    pub fn poll(&mut self) -> Vec<LogRecord> {
        let mut records = Vec::new();
        if self.look_at_file(&mut records) {
            self.update_settings(&mut records);
        }
        self.read_messages(&mut records);
        self.retry_configure();
        self.step(Event::Tick, &mut records);
        self.reap(&mut records);
        records
    }

    /// Reports unexpected exits of workers.
    fn reap(&mut self, records: &mut Vec<LogRecord>) {
        for text in self.ending.reap() {
            records.push(LogRecord {
                severity: Severity::Error,
                text: text.clone(),
            });
            // Unless another worker runs by now.
            if self.error.as_deref() == Some(ENDED) {
                self.error = Some(text);
            }
        }
    }

    /// The status of the worker.
    pub fn status(&self) -> WorkerStatus {
        let running = self.running.as_ref();
        WorkerStatus {
            health: self.health(),
            pid: running.map(|running| running.child.id()),
            uid: running.and_then(|running| running.uid),
            restarts: self.lifecycle.restarts(),
            error: self.current_error(),
            settings: self.settings.clone(),
            statistics: running.and_then(|running| running.statistics.clone()),
        }
    }

    /// The current error, if any.
    fn current_error(&self) -> Option<String> {
        let running = self.running.as_ref();
        let silent = self.settings.is_some() && running.is_none_or(|one| one.statistics.is_none());
        let not_yet = || silent.then(|| "the worker has not answered yet".to_owned());
        (self.error.clone())
            .or_else(|| self.undelivered())
            .or_else(|| self.peers_error().map(str::to_owned))
            .or_else(not_yet)
    }

    /// The state of replication.
    pub fn health(&self) -> WorkerHealth {
        let Some(settings) = &self.settings else {
            return WorkerHealth::Off;
        };
        let Some(statistics) = self.running.as_ref().and_then(|one| one.statistics.as_ref()) else {
            return WorkerHealth::Failed;
        };
        let peers = &statistics.peers;
        if self.error.is_some() || self.undelivered().is_some() {
            WorkerHealth::Failed
        } else if settings.dry_run {
            WorkerHealth::DryRun
        } else if self.peers_error().is_some() || peers.iter().any(|peer| peer.state.needs_attention()) {
            WorkerHealth::Degraded
        } else {
            WorkerHealth::Ok
        }
    }

    /// Stops the worker and waits until it has exited, two seconds at most.
    pub fn stop(&mut self) {
        self.want(None);
        let until = Instant::now() + END + EXIT_POLL;
        while !self.ending.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            self.poll();
        }
    }

    /// The reason why no copy reaches any peer, if that is so.
    fn undelivered(&self) -> Option<String> {
        let statistics = self.running.as_ref()?.statistics.as_ref()?;
        statistics.trouble(self.settings.as_ref()?)
    }

    /// Why the peers may not be up to date, if so.
    fn peers_error(&self) -> Option<&str> {
        let of_file = self.file.as_ref().and_then(PeersFile::error);
        let follows = self
            .wanted
            .as_ref()
            .is_some_and(|wanted| wanted.cluster.is_some());
        of_file.or_else(|| self.cluster.error().filter(|_| follows))
    }

    fn step(&mut self, event: Event, records: &mut Vec<LogRecord>) {
        match self.lifecycle.step(event, self.begin.elapsed()) {
            Action::None => {}
            Action::Start => self.start(records),
            Action::Stop => {
                // The worker ends when its input is closed.
                if let Some(running) = self.running.take() {
                    self.ending.add(running.child, false);
                    records.push(information("the replication worker was stopped".into()));
                }
                (self.error, self.refused) = (None, None);
            }
            Action::Kill => {
                if let Some(running) = &mut self.running {
                    let _ = running.child.kill();
                    self.fail(
                        "the replication worker does not respond and was killed".into(),
                        records,
                    );
                }
            }
        }
    }

    fn start(&mut self, records: &mut Vec<LogRecord>) {
        match self.spawn() {
            Ok(running) => {
                let pid = running.child.id();
                self.running = Some(running);
                records.push(information(format!(
                    "the replication worker was started as process {pid}"
                )));
            }
            Err(error) => {
                self.fail(error.context("starting the replication worker").message, records);
                self.step(Event::Ended, records);
            }
        }
    }

    fn spawn(&mut self) -> Result<Running, Error> {
        let failed = |error: std::io::Error| Error::new(ErrorKind::Refused, error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut control = Control::new(ours).map_err(failed)?;
        let (handover, of_helper) = Channel::pair().map_err(|errno| failed(errno.into()))?;
        if let Some(kept) = self.kept.take() {
            // Otherwise the group is bound anew.
            let _ = handover.pass(kept.number(), kept.as_fd());
        }
        let mut command = Command::new(&self.program);
        command
            .arg(VERB)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(of_helper));
        privileges::inherits_nothing(&mut command);
        // A process starts in the namespace of the thread that makes it.
        let child = enter::inside(&self.netns, || command.spawn())?.map_err(failed)?;
        if let Some(settings) = &self.settings {
            control.send(&ToWorker::Configure(Box::new(settings.clone())));
        }
        Ok(Running {
            child,
            control,
            handover,
            uid: None,
            statistics: None,
        })
    }

    fn read_messages(&mut self, records: &mut Vec<LogRecord>) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.control.flush();
        let received = match running.control.receive::<FromWorker>() {
            Ok(received) => received,
            Err(error) => {
                let _ = running.child.kill();
                self.fail(error.context("the replication worker").message, records);
                return self.ended(records);
            }
        };
        if !received.messages.is_empty() {
            self.step(Event::Message, records);
        }
        for message in received.messages {
            match message {
                FromWorker::Configured { uid } => {
                    (self.error, self.refused) = (None, None);
                    if let Some(running) = &mut self.running {
                        running.uid = Some(uid);
                    }
                }
                FromWorker::Statistics(statistics) => {
                    if let Some(running) = &mut self.running {
                        running.statistics = Some(*statistics);
                    }
                }
                FromWorker::Failed { message, hints } => {
                    let hints: String = hints.iter().map(|hint| format!("; {hint}")).collect();
                    let (times, _) = self.refused.unwrap_or((0, Instant::now()));
                    let pause = RETRY.saturating_mul(1 << times.min(8)).min(RETRY_LONGEST);
                    self.refused = Some((times.saturating_add(1), Instant::now() + pause));
                    let text = format!("the replication worker: {message}{hints}");
                    // Log the same error once only.
                    if self.error.as_ref() != Some(&text) {
                        self.fail(text, records);
                    }
                }
            }
        }
        if received.ended {
            self.ended(records);
        }
    }

    /// Handles a closed connection: the worker has ended, or is about to.
    fn ended(&mut self, records: &mut Vec<LogRecord>) {
        let unexplained = self.error.is_none();
        if unexplained {
            self.error = Some(ENDED.to_owned());
        }
        if let Some(running) = self.running.take() {
            self.ending.add(running.child, unexplained);
        }
        self.refused = None;
        self.reap(records);
        self.step(Event::Ended, records);
        if let Phase::Waiting { until } = self.lifecycle.phase() {
            let wait = until.saturating_sub(self.begin.elapsed()).as_secs_f32();
            records.push(information(format!(
                "the replication worker restarts in {wait:.1} s"
            )));
        }
    }

    fn fail(&mut self, text: String, records: &mut Vec<LogRecord>) {
        records.push(LogRecord {
            severity: Severity::Error,
            text: text.clone(),
        });
        self.error = Some(text);
    }
}

fn information(text: String) -> LogRecord {
    LogRecord {
        severity: Severity::Information,
        text,
    }
}

impl Drop for Supervisor {
    /// Closes the connection, so that the worker ends.
    fn drop(&mut self) {
        self.stop();
    }
}
