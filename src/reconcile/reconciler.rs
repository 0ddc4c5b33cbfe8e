//! The state machine of the service: (event, now) to actions. An event only triggers a scan; the plan finds
//! what differs.
//!
//! Link events are gathered into one pass over all waiting interfaces, and passes have a rate limit. A scan
//! covers every event received before it, so netkeel does not react to its own writes. A pass that fails is
//! narrowed down to the facts that it fails at. Those are suspended with growing pauses, and so are facts
//! that another program keeps changing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::debounce;
use crate::debounce::Debounce;
use crate::event::{Action, Event, Interest, Now, Outcome};
use crate::links::Links;
use crate::rate_limiter::{RateLimiter, growing};
use crate::suspended::{Report, Suspended, Suspension};
use netkeel_core::fact::Fact;
use netkeel_host::event::HostEvent;
use netkeel_plan::goal::part::Extent;

/// A document's files are read once they have not changed for this long.
const QUIET: Duration = Duration::from_millis(100);

/// A document's files are read at the latest after this long, even if they keep changing.
const QUIET_LONGEST: Duration = Duration::from_secs(2);

/// The first and the longest pause after a pass that could not start.
const BLOCKED: Duration = Duration::from_millis(50);

const BLOCKED_LONGEST: Duration = Duration::from_secs(30);

/// The first and the longest pause after a single stack of interfaces failed.
const FAILED: Duration = Duration::from_secs(1);

const FAILED_LONGEST: Duration = Duration::from_secs(300);

/// Pods' ends of veths are scanned once no interface has appeared or changed for the first time, and at the
/// latest after the second.
const SETTLED: Duration = Duration::from_millis(250);

const SETTLED_LONGEST: Duration = Duration::from_secs(2);

/// Rules of other programs are scanned once none has changed for the first time, and at the latest after
/// the second. kube-proxy changes rules all the time, and few of them concern netkeel.
const RULES: Duration = Duration::from_secs(5);

const RULES_LONGEST: Duration = Duration::from_secs(30);

/// The shortest time between scans of an interface that has suspended facts.
const CALM: Duration = Duration::from_secs(1);

/// The state machine.
#[derive(Debug)]
pub struct Reconciler {
    /// The last known interfaces.
    pub known: Links,
    /// Whether the service writes.
    enforces: bool,
    interval: Duration,
    interest: Interest,
    /// A full scan is due.
    pub(crate) all: bool,
    pub(crate) rest: bool,
    pub(crate) links: BTreeSet<u32>,
    /// Interfaces to scan at a later time.
    pub(crate) later: BTreeMap<u32, Now>,
    /// Parts of a failed pass, to be tried one by one.
    pub(crate) suspects: VecDeque<Extent>,
    /// Failed parts (the whole host, the rest or a single stack): the number of failures, and the time of
    /// the next retry.
    pub(crate) failing: BTreeMap<Extent, (u32, Now)>,
    pub(crate) suspended: Suspended,
    pub(crate) passes: RateLimiter,
    pub(crate) full: RateLimiter,
    pub(crate) under_way: bool,
    pub(crate) next_full: Now,
    /// Bursts of link events.
    pub(crate) storm: Debounce,
    /// Changes of veths into pods whose other ends were not scanned since.
    pub(crate) unsettled: Debounce,
    /// Changes to rules of other programs.
    pub(crate) rules: Debounce,
    /// Changes to files of the document.
    pub(crate) touched: Debounce,
    pub(crate) load: bool,
    pub(crate) paused: Option<Now>,
    pub(crate) blocked: Option<(u32, Now)>,
}

impl Reconciler {
    /// A state machine that starts with a full scan and repeats it at least once an interval.
    pub fn new(enforces: bool, interval: Duration, interest: Interest) -> Self {
        Reconciler {
            known: Links::default(),
            enforces,
            interval,
            interest,
            all: true,
            rest: false,
            links: BTreeSet::new(),
            later: BTreeMap::new(),
            suspects: VecDeque::new(),
            failing: BTreeMap::new(),
            suspended: Suspended::default(),
            passes: RateLimiter::new(4, Duration::from_millis(20)),
            full: RateLimiter::new(3, Duration::from_secs(2)),
            under_way: false,
            next_full: Now::ZERO,
            storm: debounce::storm(),
            unsettled: Debounce::new(SETTLED, SETTLED_LONGEST),
            rules: Debounce::new(RULES, RULES_LONGEST),
            touched: Debounce::new(QUIET, QUIET_LONGEST),
            load: false,
            paused: None,
            blocked: None,
        }
    }

    /// Handles an event from the kernel.
    pub fn hear(&mut self, heard: HostEvent, now: Now) {
        match heard {
            HostEvent::Link(name, link) => {
                let index = link.index;
                let tunnel = link.external || self.interest.made.contains(&name);
                if self.known.learn(name, link) {
                    self.changed(index, tunnel, now);
                }
            }
            HostEvent::Gone(index) => {
                // The interfaces above it may have changed with it.
                let stack = self.known.stack(index);
                let gone = self.known.forget(index);
                self.links.remove(&index);
                self.later.remove(&index);
                self.deleted(index, now);
                let made = gone.is_some_and(|name| self.interest.made.contains(&name));
                self.all |= made || self.interest.whole;
                for other in stack.into_iter().filter(|other| *other != index) {
                    self.changed(other, false, now);
                }
            }
            HostEvent::Touched(index) => self.changed(index, false, now),
            HostEvent::Conf { index: None, .. } => self.all = true,
            HostEvent::Conf {
                index: Some(index),
                ipv6,
                forwarding,
                rp_filter,
            } => {
                if self.known.learn_conf(index, ipv6, forwarding, rp_filter) {
                    self.changed(index, false, now);
                }
            }
            HostEvent::Rules { own: true } => self.rest = true,
            HostEvent::Rules { own: false } => self.rules.came(now),
            HostEvent::DefaultRoute | HostEvent::Lost => self.all = true,
        }
    }

    /// A deleted interface may have caused failures, so retry them.
    fn deleted(&mut self, index: u32, now: Now) {
        self.suspended.went(index);
        let before = self.failing.len();
        self.failing.retain(|failed, _| !is_of(failed, &[index].into()));
        if self.failing.len() < before
            && let Some((_, due)) = self.failing.get_mut(&Extent::All)
        {
            *due = now;
        }
    }

    fn changed(&mut self, index: u32, tunnel: bool, now: Now) {
        if tunnel || self.interest.whole {
            self.all = true;
        } else if self.suspended.concerns(index, now) {
            self.later.entry(index).or_insert(now + CALM);
        } else {
            self.links.insert(index);
            self.storm.came(now);
        }
    }

    /// Handles an event of the service.
    pub fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::Everything => self.all = true,
            Event::Rest => self.rest = true,
            Event::DocumentTouched => self.touched.came(now),
            Event::Reload => self.load = true,
            Event::Loaded(interest) => {
                self.interest = interest;
                self.all = true;
                // The new document may not want the facts that could not be written.
                self.suspended.end_refused();
                self.failing.clear();
                self.suspects.clear();
            }
            Event::Paused(until) => self.paused = Some(until),
            Event::Resumed => {
                self.paused = None;
                self.all = true;
                self.suspended.end_flaps();
            }
            Event::Looking(extent) => self.looking(&extent),
            Event::Ended(extent, outcome) => self.ended(extent, outcome, now),
        }
    }

    fn looking(&mut self, extent: &Extent) {
        if !matches!(extent, Extent::Links(_)) {
            self.rules.over();
        }
        match extent {
            Extent::All => {
                self.unsettled.over();
                self.all = false;
                self.rest = false;
                self.links.clear();
            }
            Extent::Rest => self.rest = false,
            Extent::Links(links) => self.links.retain(|index| !links.contains(index)),
        }
        if self.links.is_empty() {
            self.storm.over();
        }
    }

    fn ended(&mut self, extent: Extent, outcome: Outcome, now: Now) {
        self.under_way = false;
        if !matches!(outcome, Outcome::Blocked | Outcome::Waits) {
            self.blocked = None;
        }
        if let (Extent::Links(links), true) = (&extent, self.interest.pods)
            && self.known.lead_into_pods(links)
        {
            self.unsettled.came(now);
        }
        match outcome {
            Outcome::Kept(wrote) => {
                self.clear_failures(&extent);
                self.suspended.wrote(wrote, now);
            }
            Outcome::Looked => self.clear_failures(&extent),
            // All these facts were excluded from the pass, so they did not cause the failure.
            Outcome::Blamed(blamed) if self.suspended.has_all(&blamed, now) => self.narrow(extent, now),
            Outcome::Blamed(blamed) => {
                self.suspended.refused(blamed, now);
                // All other facts are still wanted.
                self.again(&extent);
            }
            Outcome::Failed => self.narrow(extent, now),
            Outcome::Blocked | Outcome::Waits => {
                let (times, _) = self.blocked.unwrap_or_default();
                self.blocked = Some((times + 1, now + growing(BLOCKED, times, BLOCKED_LONGEST)));
                self.again(&extent);
            }
        }
    }

    fn again(&mut self, extent: &Extent) {
        match extent {
            Extent::All => self.all = true,
            Extent::Rest => self.rest = true,
            Extent::Links(links) => self.links.extend(links),
        }
    }

    fn clear_failures(&mut self, extent: &Extent) {
        match extent {
            Extent::All => self.failing.clear(),
            Extent::Rest => drop(self.failing.remove(extent)),
            Extent::Links(links) => self.failing.retain(|failed, _| !is_of(failed, links)),
        }
    }

    /// Splits a failed part, down to a single stack, to find the cause. A single stack, the rest and the
    /// whole host are retried after a pause: the whole may fail even if its parts do not.
    fn narrow(&mut self, extent: Extent, now: Now) {
        let stacks = match &extent {
            Extent::All => {
                self.suspects.push_back(Extent::Rest);
                self.known.stacks(self.known.indices())
            }
            Extent::Rest => Vec::new(),
            Extent::Links(links) => self.known.stacks(links.iter().copied()),
        };
        match (&extent, stacks.as_slice()) {
            (Extent::Links(_), [stack]) => self.wait(Extent::Links(stack.clone()), now),
            _ => {
                let (first, second) = stacks.split_at(stacks.len() / 2);
                for half in [first, second] {
                    let links: BTreeSet<u32> = half.iter().flatten().copied().collect();
                    if !links.is_empty() {
                        self.suspects.push_back(Extent::Links(links));
                    }
                }
            }
        }
        if !matches!(extent, Extent::Links(_)) {
            self.wait(extent, now);
        }
    }

    /// Schedules a retry of a part after a pause, which doubles each time.
    fn wait(&mut self, extent: Extent, now: Now) {
        let (times, _) = self.failing.get(&extent).copied().unwrap_or_default();
        let due = now + growing(FAILED, times, FAILED_LONGEST);
        self.failing.insert(extent, (times + 1, due));
    }

    /// The next action; `None` if nothing is due.
    pub fn poll(&mut self, now: Now) -> Option<Action> {
        if self.under_way {
            return None;
        }
        if self.load || self.touched.is_due(now) {
            self.load = false;
            self.touched.over();
            return Some(Action::Load);
        }
        if self.paused.is_some_and(|until| until <= now) {
            self.handle(Event::Resumed, now);
        }
        self.wake(now);
        if self.blocked.is_some_and(|(_, until)| until > now) {
            return None;
        }
        let extent = self.next_extent(now)?;
        self.looking(&extent);
        if extent == Extent::All {
            self.next_full = now + self.interval;
        }
        self.under_way = true;
        Some(Action::Pass {
            extent,
            except: self.suspended.facts(now),
            writes: self.enforces && self.paused.is_none(),
        })
    }

    /// Moves everything whose time has come to the waiting parts.
    fn wake(&mut self, now: Now) {
        if self.next_full <= now {
            self.all = true;
            self.full.grant();
        }
        if self.unsettled.is_due(now) {
            self.unsettled.over();
            self.all = true;
        }
        if self.rules.is_due(now) {
            self.rules.over();
            self.rest = true;
        }
        let due = self
            .later
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(index, _)| *index);
        self.links.extend(due);
        self.later.retain(|_, due| *due > now);
        let due = self.tried_again().filter(|(_, due)| *due <= now);
        let due: Vec<Extent> = due.map(|(extent, _)| extent.clone()).collect();
        for extent in due {
            self.again(&extent);
            // No retry until the pass over it has ended.
            if let Some((_, due)) = self.failing.get_mut(&extent) {
                *due = now + FAILED_LONGEST;
            }
        }
        for (_, index) in self.suspended.due(now) {
            match index {
                Some(index) => drop(self.links.insert(index)),
                None => self.rest = true,
            }
        }
    }

    /// The suspended facts.
    pub fn suspended(&self) -> impl Iterator<Item = (&Fact, &Suspension)> {
        self.suspended.all()
    }

    /// The changes to suspended facts since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        self.suspended.reports()
    }

    /// The end of the pause; `None` if writes are not paused.
    pub fn paused(&self) -> Option<Now> {
        self.paused
    }
}

/// Whether a part is a stack that contains one of these interfaces.
fn is_of(part: &Extent, links: &BTreeSet<u32>) -> bool {
    matches!(part, Extent::Links(stack) if !stack.is_disjoint(links))
}
