//! The paths that budgets of the document stand on: measured again and again in a thread of their own,
//! since whoever is asked may take a second to answer, or never does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::enter::inside;
use netkeel_kernel::path;

/// They are measured at least this often: the kernel forgets what it learned of a path after ten
/// minutes (`net.ipv4.route.mtu_expires`).
const EVERY: Duration = Duration::from_secs(60);

/// How long a measurement is waited for before it is asked after.
const SOON: Duration = Duration::from_millis(200);

/// What was measured.
pub(crate) type Measured = BTreeMap<IpAddr, Result<u32, Error>>;

/// All of them.
#[derive(Debug)]
pub(crate) struct Paths {
    netns: Netns,
    every: Duration,
    targets: BTreeSet<IpAddr>,
    begun: Instant,
    under_way: Option<Receiver<Measured>>,
}

impl Paths {
    /// None yet. They are measured with each look of the clock at least.
    pub fn new(netns: Netns, interval: Duration) -> Self {
        Paths {
            netns,
            every: EVERY.min(interval),
            targets: BTreeSet::new(),
            begun: Instant::now(),
            under_way: None,
        }
    }

    /// These are measured from now on. A look measures those that are new.
    pub fn follow(&mut self, targets: BTreeSet<IpAddr>) {
        self.targets = targets;
    }

    /// When there is something to do.
    pub fn due(&self) -> Option<Instant> {
        if self.targets.is_empty() {
            return None;
        }
        Some(match self.under_way {
            Some(_) => Instant::now() + SOON,
            None => self.begun + self.every,
        })
    }

    /// Measures when it is time to; those whose MTU is another one than before, and those that could
    /// not be measured, which keep what they had.
    pub(crate) fn mind(&mut self, live: &mut Live) -> Vec<(IpAddr, Result<u32, Error>)> {
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
        let (tell, hear) = channel();
        let (netns, targets) = (self.netns.clone(), self.targets.clone());
        let work = move || {
            let one = |target: IpAddr| {
                let measured = inside(&netns, || path::measure(target));
                let none = || Error::new(ErrorKind::Missing, "there is no such namespace");
                (target, measured.unwrap_or_else(|_| Err(none())))
            };
            // Nobody listens any more when the service has ended.
            let _ = tell.send(targets.into_iter().map(one).collect());
        };
        thread::Builder::new().name("paths".into()).spawn(work).ok()?;
        Some(hear)
    }
}
