//! Counts lost packets over each interval, as `netkeel doctor` does over its window. A reading of a large host takes a
//! while, so it runs in a thread of its own.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use netkeel_core::error::Error;
use netkeel_core::name::netns::Netns;
use netkeel_diagnose::diagnosis::cause::Diagnosis;
use netkeel_diagnose::diagnosis::{diagnose, scope};
use netkeel_diagnose::lint::host;
use netkeel_host::counters::deltas::Deltas;
use netkeel_host::counters::reading::Reading;
use netkeel_host::counters::unread::Source;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::counters::drop_reasons::DropReasons;
use netkeel_kernel::counters::reading::reading;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::enter::inside;
use netkeel_reconcile::status::doctor::{CauseStatus, SignStatus, Window};

/// Interval at which a running reading is polled.
const SOON: Duration = Duration::from_millis(200);

/// The shortest window: each costs a reading of the whole host.
const LEAST: Duration = Duration::from_secs(10);

/// A reading, and the window that it ends; none for the first.
type Counted = Result<(Reading, Option<Window>), Error>;

/// The last reading and the running one.
#[derive(Debug)]
pub(crate) struct Losses {
    netns: Netns,
    every: Duration,
    begun: Option<Instant>,
    last: Option<Reading>,
    under_way: Option<Receiver<Counted>>,
}

impl Losses {
    /// Counts over windows of this length, and of 10 seconds at least.
    pub(crate) fn new(netns: Netns, every: Duration) -> Self {
        Losses {
            netns,
            every: every.max(LEAST),
            begun: None,
            last: None,
            under_way: None,
        }
    }

    /// When [`Losses::poll`] is due.
    pub(crate) fn due(&self) -> Instant {
        let now = Instant::now();
        match (&self.under_way, self.begun) {
            (Some(_), _) => now + SOON,
            (None, Some(begun)) => begun + self.every,
            (None, None) => now,
        }
    }

    /// Starts a reading when due. Returns a window that ended, or the reason why it could not be counted: then the
    /// next one begins anew.
    pub(crate) fn poll(&mut self) -> Option<Result<Window, Error>> {
        let counted = match self.under_way.as_ref().map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => return None,
            Some(Err(TryRecvError::Disconnected)) | None => None,
            Some(Ok(counted)) => Some(counted),
        };
        self.under_way = None;
        let ended = match counted {
            None => None,
            Some(Ok((reading, window))) => {
                self.last = Some(reading);
                window.map(Ok)
            }
            Some(Err(error)) => Some(Err(error)),
        };
        if self.begun.is_none_or(|begun| begun.elapsed() >= self.every) {
            self.begun = Some(Instant::now());
            self.under_way = self.count();
        }
        ended
    }

    fn count(&mut self) -> Option<Receiver<Counted>> {
        let (sender, receiver) = channel();
        let (netns, before) = (self.netns.clone(), self.last.take());
        let work = move || {
            // The receiver is gone when the service has stopped.
            let _ = sender.send(count(&netns, before));
        };
        thread::Builder::new().name("losses".into()).spawn(work).ok()?;
        Some(receiver)
    }
}

/// Reads the counters, then the host: reading it may raise some of them.
fn count(netns: &Netns, before: Option<Reading>) -> Counted {
    let now = inside(netns, || reading(netns, &DropReasons::not_asked()))?;
    let Some(before) = before else {
        return Ok((now, None));
    };
    let host = Live::with(netns, |kernel| kernel.snapshot(&scope()))??;
    let deltas = Deltas::between(before, now.clone());
    let found = diagnose(&host, &host::host(&host), Some(&deltas));
    Ok((now, Some(window(&found))))
}

/// The numbers of a diagnosis. Drop reasons are never read here, so they are not missing.
fn window(found: &Diagnosis) -> Window {
    let unread = found.unread.iter();
    Window {
        ms: found.window_ms.unwrap_or(0),
        causes: found
            .causes
            .iter()
            .map(|cause| {
                let status = CauseStatus {
                    cause: cause.kind.word(),
                    grounds: cause.grounds.word(),
                };
                (status, cause.lost())
            })
            .collect(),
        signs: found
            .signs
            .iter()
            .map(|sign| SignStatus {
                sign: sign.kind.word(),
                severity: sign.severity,
            })
            .collect(),
        unexplained: found.also.iter().map(|growth| growth.by).sum(),
        unread: unread.filter(|source| **source != Source::DropReasons).count(),
    }
}
