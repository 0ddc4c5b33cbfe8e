//! Repeats the probes of the document. They run one after the other in a thread of their own, because a host may answer
//! late or never.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::replicas::declared;
use netkeel_core::error::Error;
use netkeel_core::name::netns::Netns;
use netkeel_core::probe::{Outcome, Probe, ProbeName, ProbeResult};
use netkeel_kernel::namespace::enter::inside;

/// Maximum time between the beginnings of two rounds. A round that takes longer is followed by the next at once.
const EVERY: Duration = Duration::from_secs(60);

/// Interval at which a running round is polled.
const SOON: Duration = Duration::from_millis(200);

/// A result, and the probe that gave it: the document may have another one under the name by then.
type Finished = (ProbeName, Probe, ProbeResult);

/// The probes and the running round.
#[derive(Debug)]
pub(crate) struct Probes {
    netns: Netns,
    every: Duration,
    probes: BTreeMap<ProbeName, Probe>,
    begun: Option<Instant>,
    under_way: Option<Receiver<Finished>>,
}

impl Probes {
    /// No probes yet. The interval between rounds is at most `interval`.
    pub(crate) fn new(netns: Netns, interval: Duration) -> Self {
        Probes {
            netns,
            every: EVERY.min(interval),
            probes: BTreeMap::new(),
            begun: None,
            under_way: None,
        }
    }

    /// Sets the probes. Returns the names under which there is no probe yet, or another one. They begin with the next
    /// round, which begins after the running one.
    pub(crate) fn follow(&mut self, probes: &BTreeMap<ProbeName, Probe>) -> Vec<ProbeName> {
        let before = std::mem::replace(&mut self.probes, probes.clone());
        let new = probes
            .iter()
            .filter(|(name, probe)| before.get(name) != Some(probe));
        let new: Vec<ProbeName> = new.map(|(name, _)| name.clone()).collect();
        if !new.is_empty() {
            self.begun = None;
        }
        new
    }

    /// When [`Probes::poll`] is due; `None` without probes.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.probes.is_empty() && self.under_way.is_none() {
            return None;
        }
        Some(match (&self.under_way, self.begun) {
            (Some(_), _) => Instant::now() + SOON,
            (None, Some(begun)) => begun + self.every,
            (None, None) => Instant::now(),
        })
    }

    /// Starts a round when due. Returns the results that came.
    pub(crate) fn poll(&mut self) -> Vec<(ProbeName, ProbeResult)> {
        let mut results = Vec::new();
        while let Some(receiver) = &self.under_way {
            match receiver.try_recv() {
                Ok((name, probe, result)) => {
                    if self.probes.get(&name) == Some(&probe) {
                        results.push((name, result));
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.under_way = None,
            }
        }
        let due = self.begun.is_none_or(|begun| begun.elapsed() >= self.every);
        if !self.probes.is_empty() && self.under_way.is_none() && due {
            self.begun = Some(Instant::now());
            self.under_way = self.start();
        }
        results
    }

    /// Starts a round. Without a thread the next one tries again.
    fn start(&self) -> Option<Receiver<Finished>> {
        let (sender, receiver) = channel();
        let (netns, probes) = (self.netns.clone(), self.probes.clone());
        let work = move || {
            for (name, probe) in probes {
                let result = inside(&netns, || declared(&probe)).unwrap_or_else(failed);
                // The receiver is gone when the service has stopped.
                if sender.send((name, probe, result)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("probes".into()).spawn(work).ok()?;
        Some(receiver)
    }
}

/// The result in a network namespace that cannot be entered.
fn failed(error: Error) -> ProbeResult {
    ProbeResult {
        outcome: Outcome::Failed {
            message: error.message,
        },
        as_expected: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::probe::{Protocol, Target};

    fn probe(expect: u16) -> Probe {
        Probe {
            target: Target::PathMtu {
                target: [127, 0, 0, 1].into(),
                protocol: Some(Protocol::Udp),
                port: None,
            },
            expect: Some(expect),
        }
    }

    fn named(probes: &[(&str, Probe)]) -> BTreeMap<ProbeName, Probe> {
        let each = probes
            .iter()
            .map(|(name, probe)| (name.parse().unwrap(), probe.clone()));
        each.collect()
    }

    /// The results of a round: polled until there is one for each probe.
    fn round(probes: &mut Probes, number: usize) -> Vec<(String, Option<bool>)> {
        let start = Instant::now();
        let mut results = Vec::new();
        while results.len() < number {
            let came = probes.poll().into_iter();
            results.extend(came.map(|(name, result)| (name.to_string(), result.as_expected)));
            assert!(start.elapsed() < Duration::from_secs(60), "{results:?}");
            thread::sleep(Duration::from_millis(5));
        }
        results
    }

    #[test]
    fn a_round_has_a_result_for_each_probe_and_a_changed_document_another_round() {
        let mut probes = Probes::new(Netns::CURRENT, Duration::from_secs(600));
        assert_eq!((probes.due(), probes.poll().len()), (None, 0));
        let both = named(&[("large", probe(65_535)), ("small", probe(1_280))]);
        assert_eq!(probes.follow(&both).len(), 2);
        // The loopback interface has an MTU of 65536, and an IP packet has 65535 bytes at most.
        let expected = [("large".to_owned(), Some(true)), ("small".to_owned(), Some(true))];
        assert_eq!(round(&mut probes, 2), expected);
        probes.poll();
        assert!(probes.due().unwrap() > Instant::now() + Duration::from_secs(30));
        assert!(probes.follow(&both).is_empty());
        let fewer = named(&[("small", probe(1_281))]);
        assert_eq!(probes.follow(&fewer).len(), 1);
        assert_eq!(round(&mut probes, 1), [("small".to_owned(), Some(true))]);
    }

    #[test]
    fn a_result_of_a_probe_that_is_gone_is_dropped() {
        let mut probes = Probes::new(Netns::CURRENT, Duration::from_secs(600));
        probes.follow(&named(&[("gone", probe(1_280))]));
        probes.poll();
        probes.follow(&BTreeMap::new());
        let start = Instant::now();
        while probes.due().is_some() {
            assert!(probes.poll().is_empty());
            assert!(start.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_namespace_that_is_not_there_gives_no_verdict() {
        let mut probes = Probes::new(Netns::named("no-such-namespace"), Duration::from_secs(600));
        probes.follow(&named(&[("lost", probe(1_280))]));
        assert_eq!(round(&mut probes, 1), [("lost".to_owned(), None)]);
    }
}
