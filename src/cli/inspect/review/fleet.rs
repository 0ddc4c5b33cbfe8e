//! The snapshots of a fleet, and their review on several threads.

use std::fs;
use std::io::{IsTerminal, stderr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::inspect::review::documents::Documents;
use crate::inspect::review::pair::first;
use crate::load::file::io_error;
use crate::load::snapshot::read_snapshot;
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::printable;
use netkeel_diagnose::review::fleet::{Review, Unplanned};
use netkeel_diagnose::review::host::{Refused, change};
use netkeel_diagnose::review::{fleet, host};
use netkeel_host::snapshot::Snapshot;
use netkeel_render::path::compared::Compared;

/// The most threads. Each has one snapshot in memory.
const MOST_JOBS: usize = 256;

/// How often progress is shown.
const TICK: Duration = Duration::from_millis(200);

/// Progress is not shown before.
const QUIET: Duration = Duration::from_millis(500);

/// The snapshot of a host.
struct Host {
    name: String,
    file: PathBuf,
}

/// The snapshots of a directory.
pub(super) struct Fleet {
    directory: PathBuf,
    /// Sorted by name.
    hosts: Vec<Host>,
}

impl Fleet {
    /// The files `HOST.json` of a directory. Reports the number of other files on standard error.
    ///
    /// # Errors
    /// When the directory cannot be read, or has no snapshot.
    pub(super) fn in_directory(directory: &Path) -> Result<Self, Error> {
        let failed = |error: std::io::Error| io_error(&error).context(directory.display());
        let (mut hosts, mut ignored) = (Vec::new(), 0_usize);
        for entry in fs::read_dir(directory).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let name = file.file_name().and_then(|name| name.to_str());
            let name = name.and_then(|name| name.strip_suffix(".json"));
            match name.filter(|name| !name.is_empty() && !name.starts_with('.')) {
                Some(name) => hosts.push(Host {
                    name: name.to_owned(),
                    file,
                }),
                None => ignored += 1,
            }
        }
        if hosts.is_empty() {
            let message = format!("{} has no snapshots", directory.display());
            return Err(Error::new(ErrorKind::Input, message)
                .hint("save one for each host as HOST.json: netkeel observe > HOST.json"));
        }
        if ignored > 0 {
            let number = netkeel_render::wording::count(ignored, "file");
            let directory = directory.display().to_string();
            output::say(&format!(
                "note: ignored in {}: {number} not named HOST.json\n",
                printable(&directory)
            ));
        }
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Fleet {
            directory: directory.to_owned(),
            hosts,
        })
    }

    /// Plans both documents for all hosts.
    pub(super) fn review(&self, documents: &Documents, jobs: Option<NonZeroUsize>) -> Review {
        let jobs = jobs.or_else(|| thread::available_parallelism().ok());
        let jobs = jobs
            .map_or(1, NonZeroUsize::get)
            .min(MOST_JOBS)
            .min(self.hosts.len());
        let next = AtomicUsize::new(0);
        let (done, finished) = channel();
        thread::scope(|scope| {
            for _ in 0..jobs {
                let (done, next) = (done.clone(), &next);
                scope.spawn(move || {
                    // The receiver outlives the threads.
                    let _ = done.send(self.part(documents, next));
                });
            }
            drop(done);
            let mut whole = fleet::Fleet::default();
            let begin = Instant::now();
            let is_shown = stderr().is_terminal();
            loop {
                match finished.recv_timeout(TICK) {
                    Ok(part) => whole.extend(part),
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) if is_shown && begin.elapsed() >= QUIET => {
                        progress(
                            next.load(Ordering::Relaxed).min(self.hosts.len()),
                            self.hosts.len(),
                        );
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
            if is_shown && begin.elapsed() >= QUIET {
                output::say("\r\u{1b}[K");
            }
            self.add_missing(documents, &mut whole);
            whole.review()
        })
    }

    /// Adds the hosts that the inventory names and that have no snapshot.
    fn add_missing(&self, documents: &Documents, fleet: &mut fleet::Fleet) {
        for (host, stage) in documents.exact() {
            if self.find(&host).is_none() {
                let file = self.directory.join(format!("{host}.json"));
                let error = format!("{} does not exist", file.display());
                fleet.fail(&host, stage, Unplanned::Missing, &error);
            }
        }
    }

    fn find(&self, host: &str) -> Option<&Host> {
        let at = self
            .hosts
            .binary_search_by(|one| one.name.as_str().cmp(host))
            .ok()?;
        self.hosts.get(at)
    }

    /// The paths of packets on a host before and after; `None` if the host cannot be planned.
    pub(super) fn paths(&self, host: &str, documents: &Documents) -> Option<Compared> {
        let snapshot = read_snapshot(&self.find(host)?.file).ok()?;
        let pair = documents.of(host)?.pair.ok()??;
        let (before, after) = host::paths(pair.old_version(), pair.new_version(), &snapshot)?;
        Some(Compared { before, after })
    }

    /// Plans hosts until none is left.
    fn part(&self, documents: &Documents, next: &AtomicUsize) -> fleet::Fleet {
        let mut part = fleet::Fleet::default();
        while let Some(host) = self.hosts.get(next.fetch_add(1, Ordering::Relaxed)) {
            plan(host, documents, &mut part);
        }
        part
    }
}

/// Plans a host and adds the result.
fn plan(host: &Host, documents: &Documents, fleet: &mut fleet::Fleet) {
    let Some(of_host) = documents.of(&host.name) else {
        fleet.fail(&host.name, None, Unplanned::Document, "no entry is for it");
        return;
    };
    let stage = of_host.stage;
    let pair = match of_host.pair {
        Ok(Some(pair)) => pair,
        // A note counts it.
        Ok(None) => return,
        Err(why) => {
            fleet.fail(&host.name, stage, Unplanned::Document, why);
            return;
        }
    };
    let snapshot = match read_snapshot(&host.file).and_then(of_a_host) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            fleet.fail(&host.name, stage, Unplanned::Snapshot, &error.message);
            return;
        }
    };
    match change(pair.old_version(), pair.new_version(), &snapshot) {
        Ok(change) => fleet.add(&host.name, stage, change),
        Err(Refused::Old(why)) => {
            let error = first(&why, pair.old_version().sources);
            fleet.fail(&host.name, stage, Unplanned::Old, &error);
        }
        Err(Refused::New(why)) => {
            let error = first(&why, pair.new_version().sources);
            fleet.fail(&host.name, stage, Unplanned::New, &error);
        }
    }
}

/// Documents are planned for the namespace of a host.
fn of_a_host(snapshot: Snapshot) -> Result<Snapshot, Error> {
    match snapshot.netns.name() {
        None => Ok(snapshot),
        Some(_) => Err(Error::new(
            ErrorKind::Input,
            format!(
                "the snapshot is of {}, not of the host: record it with `netkeel observe` without --netns",
                snapshot.netns
            ),
        )),
    }
}

/// Shows the number of hosts that are done.
fn progress(done: usize, all: usize) {
    const WIDTH: usize = 28;
    let filled = done * WIDTH / all.max(1);
    output::say(&format!(
        "\r\u{1b}[K  planning  [{}{}]  {done} of {all} hosts",
        "#".repeat(filled),
        ".".repeat(WIDTH.saturating_sub(filled))
    ));
}
