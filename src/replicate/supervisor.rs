//! Starts the worker, tells it what to do, listens to it, and starts it again when it ends. Nothing
//! in here waits: whoever hosts it polls its descriptor and calls it when something is due.

pub mod child_reaper;
pub mod lifecycle;
pub mod peers_file;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::control::Control;
use crate::message::{FromWorker, ToWorker};
use crate::privileges;
use crate::supervisor::child_reaper::{ChildReaper, END};
use crate::supervisor::lifecycle::{Action, Event, Lifecycle, Phase};
use crate::supervisor::peers_file::PeersFile;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::replication::settings::{Replication, Settings};
use netkeel_core::replication::statistics::Statistics;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};
use netkeel_kernel::namespace::enter;

/// The verb that makes netkeel the worker; not for people.
const VERB: &str = "replicate-worker";

/// What is worth a line in the log. Nothing in it comes from a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is amiss.
    Information,
    /// Packets are not replicated.
    Error,
}

pub(crate) struct Running {
    child: Child,
    control: Control,
    uid: Option<u32>,
    statistics: Option<Statistics>,
}

/// The supervisor of one worker.
///
/// Call [`Supervisor::want`] when a document was read, [`Supervisor::poll`] when its descriptor is
/// readable or [`Supervisor::due`] has come, and log what that returns.
pub struct Supervisor {
    netns: Netns,
    program: PathBuf,
    begin: Instant,
    lifecycle: Lifecycle,
    /// What the document says.
    wanted: Option<Replication>,
    file: Option<PeersFile>,
    /// What the worker was told: the document and the file together.
    settings: Option<Settings>,
    running: Option<Running>,
    /// Workers that were told to end and have not yet.
    ending: ChildReaper,
    error: Option<String>,
    /// The worker did not take what it was told: how often, and when it is told again.
    refused: Option<(u32, Instant)>,
}

/// What is known of a worker that ended before the kernel has told how.
const ENDED: &str = "the replication worker ended";

/// The first pause before a worker is told again what it did not take, and the longest.
const AGAIN: Duration = Duration::from_secs(1);

const AGAIN_LONGEST: Duration = Duration::from_secs(30);

/// The supervisor looks this often whether a worker that ended has gone.
const LOOK: Duration = Duration::from_millis(100);

impl Supervisor {
    /// One for a namespace, that starts `program`, which is netkeel: by default this very program,
    /// also when its file was replaced meanwhile.
    pub fn new(netns: Netns, program: Option<PathBuf>) -> Self {
        Supervisor {
            netns,
            program: program.unwrap_or_else(|| "/proc/self/exe".into()),
            begin: Instant::now(),
            lifecycle: Lifecycle::default(),
            wanted: None,
            file: None,
            settings: None,
            running: None,
            ending: ChildReaper::default(),
            error: None,
            refused: None,
        }
    }

    /// Says what the worker is to do from now on; nothing ends it. A worker that runs is told, and
    /// loses no packets by it.
    pub fn want(&mut self, wanted: Option<Replication>) -> Vec<LogRecord> {
        let mut notes = Vec::new();
        if wanted == self.wanted {
            return notes;
        }
        let path = wanted.as_ref().and_then(|wanted| wanted.peers_file.as_deref());
        if path != self.file.as_ref().map(PeersFile::path) {
            self.file = path.map(PeersFile::new);
        }
        self.wanted = wanted;
        self.look_at_file(&mut notes);
        self.tell(&mut notes);
        notes
    }

    fn look_at_file(&mut self, notes: &mut Vec<LogRecord>) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        let changed = file.look(Instant::now());
        if let (true, Some(trouble)) = (changed, file.trouble()) {
            notes.push(LogRecord {
                severity: Severity::Error,
                text: format!("{trouble}: the peers stay as they were"),
            });
        }
        changed
    }

    /// Makes settings of the document and the file, and tells the worker when they are others.
    fn tell(&mut self, notes: &mut Vec<LogRecord>) {
        let settings = self.wanted.as_ref().map(|wanted| {
            let mut settings = wanted.settings.clone();
            let more = self.file.as_ref().map(PeersFile::peers).unwrap_or_default();
            settings.peers.extend(more);
            settings
        });
        if settings == self.settings {
            return;
        }
        self.settings = settings;
        self.configure();
        self.step(Event::Wanted(self.settings.is_some()), notes);
    }

    /// Tells the worker that runs what it is to do.
    fn configure(&mut self) {
        if let (Some(running), Some(settings)) = (&mut self.running, &self.settings) {
            running
                .control
                .tell(&ToWorker::Configure(Box::new(settings.clone())));
        }
    }

    /// What it did not take may be possible by now: another program has left the group.
    fn configure_again(&mut self) {
        let now = Instant::now();
        if let Some((times, due)) = self.refused
            && due <= now
        {
            // Until it answers.
            self.refused = Some((times, now + AGAIN_LONGEST));
            self.configure();
        }
    }

    /// The descriptor to poll for reading; it changes when the worker is started again.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| running.control.as_fd())
    }

    /// When to call [`Supervisor::poll`] at the latest.
    pub fn due(&self) -> Option<Instant> {
        let lifecycle = self.lifecycle.due().map(|due| self.begin + due);
        let behind = self.running.as_ref().is_some_and(|one| one.control.is_behind());
        let look = (!self.ending.is_empty() || behind).then(|| Instant::now() + LOOK);
        let file = self.file.as_ref().map(PeersFile::due);
        let again = self
            .refused
            .filter(|_| self.running.is_some())
            .map(|(_, due)| due);
        lifecycle.into_iter().chain(look).chain(file).chain(again).min()
    }

    /// Hears what the worker says and does what is due.
    pub fn poll(&mut self) -> Vec<LogRecord> {
        let mut notes = Vec::new();
        if self.look_at_file(&mut notes) {
            self.tell(&mut notes);
        }
        self.hear(&mut notes);
        self.configure_again();
        self.step(Event::Tick, &mut notes);
        self.reap(&mut notes);
        notes
    }

    /// Says how workers ended that were not to.
    fn reap(&mut self, notes: &mut Vec<LogRecord>) {
        for text in self.ending.reap() {
            notes.push(LogRecord {
                severity: Severity::Error,
                text: text.clone(),
            });
            // Unless another one works by now.
            if self.error.as_deref() == Some(ENDED) {
                self.error = Some(text);
            }
        }
    }

    /// What is known of the worker.
    pub fn status(&self) -> WorkerStatus {
        let running = self.running.as_ref();
        WorkerStatus {
            health: self.health(),
            pid: running.map(|running| running.child.id()),
            uid: running.and_then(|running| running.uid),
            restarts: self.lifecycle.restarts(),
            error: self.why(),
            settings: self.settings.clone(),
            statistics: running.and_then(|running| running.statistics.clone()),
        }
    }

    /// What is wrong.
    fn why(&self) -> Option<String> {
        let running = self.running.as_ref();
        let silent = self.settings.is_some() && running.is_none_or(|one| one.statistics.is_none());
        let not_yet = || silent.then(|| "the worker has not answered yet".to_owned());
        (self.error.clone())
            .or_else(|| self.nobody())
            .or_else(|| self.trouble().map(str::to_owned))
            .or_else(not_yet)
    }

    /// Whether packets are replicated.
    pub fn health(&self) -> WorkerHealth {
        let Some(settings) = &self.settings else {
            return WorkerHealth::Off;
        };
        let Some(statistics) = self.running.as_ref().and_then(|one| one.statistics.as_ref()) else {
            return WorkerHealth::Failed;
        };
        let peers = &statistics.peers;
        if self.error.is_some() || self.nobody().is_some() {
            WorkerHealth::Failed
        } else if settings.dry_run {
            WorkerHealth::DryRun
        } else if self.trouble().is_some() || peers.iter().any(|peer| peer.state.needs_attention()) {
            WorkerHealth::Degraded
        } else {
            WorkerHealth::Ok
        }
    }

    /// Ends the worker and waits until it is gone, two seconds at most.
    pub fn stop(&mut self) {
        self.want(None);
        let until = Instant::now() + END + LOOK;
        while !self.ending.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            self.poll();
        }
    }

    /// Why no copy reaches anybody, where that is so.
    fn nobody(&self) -> Option<String> {
        let statistics = self.running.as_ref()?.statistics.as_ref()?;
        statistics.trouble(self.settings.as_ref()?)
    }

    /// What is wrong with the file of peers.
    fn trouble(&self) -> Option<&str> {
        self.file.as_ref()?.trouble()
    }

    fn step(&mut self, event: Event, notes: &mut Vec<LogRecord>) {
        match self.lifecycle.step(event, self.begin.elapsed()) {
            Action::None => {}
            Action::Start => self.start(notes),
            Action::Stop => {
                // It ends when its input does.
                if let Some(running) = self.running.take() {
                    self.ending.add(running.child, false);
                    notes.push(information("the replication worker is stopped".into()));
                }
                (self.error, self.refused) = (None, None);
            }
            Action::Kill => {
                if let Some(running) = &mut self.running {
                    let _ = running.child.kill();
                    self.fail(
                        "the replication worker does not answer: it is killed".into(),
                        notes,
                    );
                }
            }
        }
    }

    fn start(&mut self, notes: &mut Vec<LogRecord>) {
        match self.spawn() {
            Ok(running) => {
                let pid = running.child.id();
                self.running = Some(running);
                notes.push(information(format!(
                    "the replication worker is started as process {pid}"
                )));
            }
            Err(error) => {
                self.fail(error.context("starting the replication worker").message, notes);
                self.step(Event::Ended, notes);
            }
        }
    }

    fn spawn(&self) -> Result<Running, Error> {
        let failed = |error: std::io::Error| Error::new(ErrorKind::Refused, error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut control = Control::new(ours).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command
            .arg(VERB)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null());
        privileges::inherits_nothing(&mut command);
        // A process is born in the namespace of the thread that makes it.
        let child = enter::inside(&self.netns, || command.spawn())?.map_err(failed)?;
        if let Some(settings) = &self.settings {
            control.tell(&ToWorker::Configure(Box::new(settings.clone())));
        }
        Ok(Running {
            child,
            control,
            uid: None,
            statistics: None,
        })
    }

    fn hear(&mut self, notes: &mut Vec<LogRecord>) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.control.flush();
        let heard = match running.control.hear::<FromWorker>() {
            Ok(heard) => heard,
            Err(error) => {
                let _ = running.child.kill();
                self.fail(error.context("the replication worker").message, notes);
                return self.ended(notes);
            }
        };
        if !heard.messages.is_empty() {
            self.step(Event::Heard, notes);
        }
        for message in heard.messages {
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
                    let pause = AGAIN.saturating_mul(1 << times.min(8)).min(AGAIN_LONGEST);
                    self.refused = Some((times.saturating_add(1), Instant::now() + pause));
                    let text = format!("the replication worker: {message}{hints}");
                    // Once is enough.
                    if self.error.as_ref() != Some(&text) {
                        self.fail(text, notes);
                    }
                }
            }
        }
        if heard.ended {
            self.ended(notes);
        }
    }

    /// The worker's end of the line is closed: it ended, or is about to.
    fn ended(&mut self, notes: &mut Vec<LogRecord>) {
        let unexplained = self.error.is_none();
        if unexplained {
            self.error = Some(ENDED.to_owned());
        }
        if let Some(running) = self.running.take() {
            self.ending.add(running.child, unexplained);
        }
        self.refused = None;
        self.reap(notes);
        self.step(Event::Ended, notes);
        if let Phase::Waiting { until } = self.lifecycle.phase() {
            let wait = until.saturating_sub(self.begin.elapsed()).as_secs_f32();
            notes.push(information(format!(
                "the replication worker is started again in {wait:.1} s"
            )));
        }
    }

    fn fail(&mut self, text: String, notes: &mut Vec<LogRecord>) {
        notes.push(LogRecord {
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
    /// The line closes, and the worker ends by itself.
    fn drop(&mut self) {
        self.stop();
    }
}
