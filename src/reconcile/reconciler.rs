//! When to look at which part of the host again: a state machine of (event, now) to actions. An
//! event means only "look again"; what differs then is the plan's business.
//!
//! Events of interfaces are gathered into one pass over all that are waiting, and passes have a
//! rate. A look answers every event that was heard before it began, so that what netkeel writes
//! itself wakes nobody. A pass that fails is narrowed down to what it fails at, which is then left
//! alone with growing pauses, and so is a fact that another program writes again and again.

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

/// A document's files must be quiet for so long before they are read.
const QUIET: Duration = Duration::from_millis(100);

/// No longer than this does a document wait for its files to be quiet.
const QUIET_LONGEST: Duration = Duration::from_secs(2);

/// The first pause after a pass that could not begin, and the longest.
const BLOCKED: Duration = Duration::from_millis(50);

const BLOCKED_LONGEST: Duration = Duration::from_secs(30);

/// The first pause after a single stack of interfaces failed, and the longest.
const FAILED: Duration = Duration::from_secs(1);

const FAILED_LONGEST: Duration = Duration::from_secs(300);

/// The other ends of veths are looked at when no interface has come or changed for so long, and no
/// later than the second.
const SETTLED: Duration = Duration::from_millis(250);

const SETTLED_LONGEST: Duration = Duration::from_secs(2);

/// Rules of others are looked at when none has changed for so long, and no later than the second:
/// kube-proxy changes some all the time, and mostly they concern nothing that netkeel keeps.
const RULES: Duration = Duration::from_secs(5);

const RULES_LONGEST: Duration = Duration::from_secs(30);

/// An interface whose facts are left alone is looked at no more often than this.
const CALM: Duration = Duration::from_secs(1);

/// The state machine.
#[derive(Debug)]
pub struct Reconciler {
    /// The interfaces as they are known.
    pub known: Links,
    /// Whether it writes at all.
    enforces: bool,
    interval: Duration,
    interest: Interest,
    /// What waits for a look.
    pub(crate) all: bool,
    pub(crate) rest: bool,
    pub(crate) links: BTreeSet<u32>,
    /// Interfaces that wait for a moment.
    pub(crate) later: BTreeMap<u32, Now>,
    /// Parts of a pass that failed, to be tried one by one.
    pub(crate) suspects: VecDeque<Extent>,
    /// The whole, the rest and single stacks that failed: how often, and when they are tried again.
    pub(crate) failing: BTreeMap<Extent, (u32, Now)>,
    pub(crate) alone: Suspended,
    pub(crate) passes: RateLimiter,
    pub(crate) full: RateLimiter,
    pub(crate) under_way: bool,
    pub(crate) next_full: Now,
    /// Interfaces that wait for a look.
    pub(crate) storm: Debounce,
    /// Veths into pods that were looked at without their other ends.
    pub(crate) unsettled: Debounce,
    /// Rules of others that changed.
    pub(crate) rules: Debounce,
    /// Files of the document that were touched.
    pub(crate) touched: Debounce,
    pub(crate) load: bool,
    pub(crate) paused: Option<Now>,
    pub(crate) blocked: Option<(u32, Now)>,
}

impl Reconciler {
    /// One that looks at everything first, and then at least once an interval.
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
            alone: Suspended::default(),
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

    /// Takes what the kernel told.
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
                // Those that stood on it may have changed with it.
                let stack = self.known.stack(index);
                let gone = self.known.forget(index);
                self.links.remove(&index);
                self.later.remove(&index);
                self.went(index, now);
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

    /// What failed with an interface that went may hold without it.
    fn went(&mut self, index: u32, now: Now) {
        self.alone.went(index);
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
        } else if self.alone.concerns(index, now) {
            self.later.entry(index).or_insert(now + CALM);
        } else {
            self.links.insert(index);
            self.storm.came(now);
        }
    }

    /// Takes an event.
    pub fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::Everything => self.all = true,
            Event::Rest => self.rest = true,
            Event::DocumentTouched => self.touched.came(now),
            Event::Reload => self.load = true,
            Event::Loaded(interest) => {
                self.interest = interest;
                self.all = true;
                // What the old one failed at may not be asked for any more.
                self.alone.forgive();
                self.failing.clear();
                self.suspects.clear();
            }
            Event::Paused(until) => self.paused = Some(until),
            Event::Resumed => {
                self.paused = None;
                self.all = true;
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
        if !matches!(outcome, Outcome::Blocked) {
            self.blocked = None;
        }
        if let (Extent::Links(links), true) = (&extent, self.interest.pods)
            && self.known.lead_into_pods(links)
        {
            self.unsettled.came(now);
        }
        match outcome {
            Outcome::Kept(wrote) => {
                self.held(&extent);
                self.alone.wrote(wrote, now);
            }
            Outcome::Looked => self.held(&extent),
            // It was said to leave them alone, and failed at them: they are not what is wrong.
            Outcome::Blamed(blamed) if self.alone.has_all(&blamed, now) => self.narrow(extent, now),
            Outcome::Blamed(blamed) => {
                self.alone.refused(blamed, now);
                // The others are wanted all the same.
                self.again(&extent);
            }
            Outcome::Failed => self.narrow(extent, now),
            Outcome::Blocked => {
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

    fn held(&mut self, extent: &Extent) {
        match extent {
            Extent::All => self.failing.clear(),
            Extent::Rest => drop(self.failing.remove(extent)),
            Extent::Links(links) => self.failing.retain(|failed, _| !is_of(failed, links)),
        }
    }

    /// Tries the parts of what failed, down to a single stack. That waits then, as the rest does, and
    /// the whole, which may fail where its parts do not.
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
            (Extent::Links(_), [alone]) => self.wait(Extent::Links(alone.clone()), now),
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

    /// Tries a part again after a pause, which doubles each time.
    fn wait(&mut self, extent: Extent, now: Now) {
        let (times, _) = self.failing.get(&extent).copied().unwrap_or_default();
        let due = now + growing(FAILED, times, FAILED_LONGEST);
        self.failing.insert(extent, (times + 1, due));
    }

    /// What to do now; none when there is nothing, or not yet.
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
            except: self.alone.facts(now),
            writes: self.enforces && self.paused.is_none(),
        })
    }

    /// What waited for a moment that has come.
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
            // Until the pass over it has ended.
            if let Some((_, due)) = self.failing.get_mut(&extent) {
                *due = now + FAILED_LONGEST;
            }
        }
        for (_, index) in self.alone.due(now) {
            match index {
                Some(index) => drop(self.links.insert(index)),
                None => self.rest = true,
            }
        }
    }

    /// What is left alone, and why.
    pub fn suspended(&self) -> impl Iterator<Item = (&Fact, &Suspension)> {
        self.alone.all()
    }

    /// What became known since it was asked last.
    pub fn reports(&mut self) -> Vec<Report> {
        self.alone.reports()
    }

    /// Until when nothing is written.
    pub fn paused(&self) -> Option<Now> {
        self.paused
    }
}

/// A part is a stack that one of these interfaces belongs to.
fn is_of(part: &Extent, links: &BTreeSet<u32>) -> bool {
    matches!(part, Extent::Links(stack) if !stack.is_disjoint(links))
}
