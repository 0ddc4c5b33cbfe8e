//! Measures the path MTUs that the document depends on. A measurement runs in its own thread, because a
//! target may answer late or never.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::enter::inside;
use netkeel_kernel::probe::path;

/// Maximum time between measurements. The kernel forgets a learned path MTU after ten minutes
/// (`net.ipv4.route.mtu_expires`).
const EVERY: Duration = Duration::from_secs(60);

/// Interval at which a running measurement is polled.
const SOON: Duration = Duration::from_millis(200);

/// Path MTUs by target, bytes.
pub(crate) type Measured = BTreeMap<IpAddr, Result<u32, Error>>;

/// The targets and the running measurement.
#[derive(Debug)]
pub(crate) struct Paths {
    netns: Netns,
    every: Duration,
    targets: BTreeSet<IpAddr>,
    begun: Instant,
    under_way: Option<Receiver<Measured>>,
}

impl Paths {
    /// No targets yet. The interval between measurements is at most `interval`.
    pub fn new(netns: Netns, interval: Duration) -> Self {
        Paths {
            netns,
            every: EVERY.min(interval),
            targets: BTreeSet::new(),
            begun: Instant::now(),
            under_way: None,
        }
    }

    /// Sets the targets. The next scan measures new targets itself.
    pub fn follow(&mut self, targets: BTreeSet<IpAddr>) {
        self.targets = targets;
    }

    /// When [`Paths::poll`] is due; `None` without targets.
    pub fn due(&self) -> Option<Instant> {
        if self.targets.is_empty() {
            return None;
        }
        Some(match self.under_way {
            Some(_) => Instant::now() + SOON,
            None => self.begun + self.every,
        })
    }

    /// Starts a measurement when due. Returns the targets whose path MTU changed, and those that could not
    /// be measured, which keep their last value.
    pub(crate) fn poll(&mut self, live: &mut Live) -> Vec<(IpAddr, Result<u32, Error>)> {
        let measured = match self.under_way.as_ref().map(Receiver::try_recv) {
            None => BTreeMap::new(),
            Some(Err(TryRecvError::Empty)) => return Vec::new(),
            Some(Err(TryRecvError::Disconnected)) => {
                self.under_way = None;
                BTreeMap::new()
            }
            Some(Ok(measured)) => {
                self.under_way = None;
                measured
            }
        };
        if !self.targets.is_empty() && self.under_way.is_none() && self.begun.elapsed() >= self.every {
            self.begun = Instant::now();
            self.under_way = self.measure();
        }
        let news = |(target, mtu): &(IpAddr, Result<u32, Error>)| match mtu {
            Ok(mtu) => live.learn_path(*target, *mtu),
            Err(_) => true,
        };
        measured.into_iter().filter(news).collect()
    }

    fn measure(&self) -> Option<Receiver<Measured>> {
        let (sender, receiver) = channel();
        let (netns, targets) = (self.netns.clone(), self.targets.clone());
        let work = move || {
            let one = |target: IpAddr| {
                let measured = inside(&netns, || path::measure(target));
                let none = || Error::new(ErrorKind::Missing, "the network namespace does not exist");
                (target, measured.unwrap_or_else(|_| Err(none())))
            };
            // The receiver is gone when the service has stopped.
            let _ = sender.send(targets.into_iter().map(one).collect());
        };
        thread::Builder::new().name("paths".into()).spawn(work).ok()?;
        Some(receiver)
    }
}
