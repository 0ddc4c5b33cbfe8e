//! Facts that netkeel does not write for a while: those that cannot be written, and those that another
//! program keeps changing. The pause doubles each time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::event::{Blamed, Now};
use crate::rate_limiter::growing;
use netkeel_core::fact::Fact;

/// A fact that was written this often ...
const OFTEN: usize = 5;

/// ... within this time flaps. A new interface's facts may be written by its CNI and by udev too.
const WITHIN: Duration = Duration::from_secs(10);

/// The first pause of a fact that flaps.
const FLAPS: Duration = Duration::from_secs(1);

/// The first pause of a fact that could not be written.
const REFUSED: Duration = Duration::from_secs(5);

const LONGEST: Duration = Duration::from_secs(300);

/// A suspension ends once the fact has needed no write for its last pause, and for at least this long.
const PROBATION: Duration = Duration::from_secs(30);

/// The reason for a suspension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another program keeps changing the fact.
    Flaps,
    /// The fact could not be written.
    Refused(String),
}

/// The suspension of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// The reason.
    pub why: Why,
    /// The start.
    pub since: Now,
    /// The end of the current pause.
    pub until: Now,
    /// The length of the current pause.
    pub pause: Duration,
    /// The number of attempts to write the fact.
    pub times: u32,
    /// The index of its interface.
    pub index: Option<u32>,
    /// The fact was scanned again after the pause.
    rechecked: bool,
}

/// A change to the suspension of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The fact is suspended from now on.
    Began(Fact, Suspension),
    /// The fact was written again and did not stay in sync.
    GoesOn(Fact, Suspension),
    /// The suspension has ended.
    Ended(Fact),
}

/// All suspended facts.
#[derive(Debug, Default)]
pub struct Suspended {
    facts: BTreeMap<Fact, Suspension>,
    /// The recent writes of each fact.
    recent: BTreeMap<Fact, (Option<u32>, VecDeque<Now>)>,
    swept: Now,
    reports: Vec<Report>,
}

impl Suspended {
    /// Records that facts were written.
    pub fn wrote(&mut self, facts: Vec<(Fact, Option<u32>)>, now: Now) {
        for (fact, index) in facts {
            match self.facts.get_mut(&fact) {
                Some(suspension) if suspension.index == index && suspension.why == Why::Flaps => {
                    extend(suspension, now);
                    self.reports.push(Report::GoesOn(fact, suspension.clone()));
                }
                _ => self.count(fact, index, now),
            }
        }
        if self.swept + WITHIN <= now {
            self.swept = now;
            self.recent
                .retain(|_, (_, times)| times.back().is_some_and(|last| *last + WITHIN > now));
            self.end_settled(now);
        }
    }

    fn count(&mut self, fact: Fact, index: Option<u32>, now: Now) {
        // The interface was created again, or the fact could be written at last.
        if self.facts.remove(&fact).is_some() {
            self.reports.push(Report::Ended(fact.clone()));
        }
        let (of, times) = self.recent.entry(fact.clone()).or_default();
        if *of != index {
            *of = index;
            times.clear();
        }
        times.push_back(now);
        while times.front().is_some_and(|first| *first + WITHIN <= now) {
            times.pop_front();
        }
        if times.len() >= OFTEN {
            let suspension = Suspension {
                why: Why::Flaps,
                since: times.front().copied().unwrap_or(now),
                until: now + FLAPS,
                pause: FLAPS,
                times: times.len() as u32,
                index,
                rechecked: false,
            };
            self.recent.remove(&fact);
            self.reports.push(Report::Began(fact.clone(), suspension.clone()));
            self.facts.insert(fact, suspension);
        }
    }

    /// Records that facts could not be written.
    pub fn refused(&mut self, blamed: Vec<Blamed>, now: Now) {
        for Blamed { fact, index, why } in blamed {
            if let Some(suspension) = self
                .facts
                .get_mut(&fact)
                .filter(|suspension| suspension.index == index)
            {
                if let Why::Refused(reason) = &mut suspension.why {
                    *reason = why.to_string();
                }
                extend(suspension, now);
                self.reports.push(Report::GoesOn(fact, suspension.clone()));
                continue;
            }
            let suspension = Suspension {
                why: Why::Refused(why.to_string()),
                since: now,
                until: now + REFUSED,
                pause: REFUSED,
                times: 1,
                index,
                rechecked: false,
            };
            self.reports.push(Report::Began(fact.clone(), suspension.clone()));
            self.facts.insert(fact, suspension);
        }
    }

    /// The facts whose pause has ended, each returned once.
    pub fn due(&mut self, now: Now) -> Vec<(Fact, Option<u32>)> {
        self.end_settled(now);
        let due = self
            .facts
            .iter_mut()
            .filter(|(_, suspension)| !suspension.rechecked && suspension.until <= now);
        due.map(|(fact, suspension)| {
            suspension.rechecked = true;
            (fact.clone(), suspension.index)
        })
        .collect()
    }

    /// Ends the suspensions of a deleted interface.
    pub fn went(&mut self, index: u32) {
        let gone = take(&mut self.facts, |suspension| suspension.index == Some(index));
        self.reports.extend(gone.into_iter().map(Report::Ended));
    }

    /// Ends the suspensions of facts that stayed in sync.
    fn end_settled(&mut self, now: Now) {
        let settled = |suspension: &Suspension| suspension.rechecked && ends_at(suspension) <= now;
        let ended = take(&mut self.facts, settled);
        self.reports.extend(ended.into_iter().map(Report::Ended));
    }

    /// A new document: facts that could not be written may not be wanted any more.
    pub(crate) fn end_refused(&mut self) {
        let ended = take(&mut self.facts, |suspension| suspension.why != Why::Flaps);
        self.reports.extend(ended.into_iter().map(Report::Ended));
    }

    /// After a pause: its purpose was that others write, also another netkeel.
    pub(crate) fn end_flaps(&mut self) {
        self.recent.clear();
        let ended = take(&mut self.facts, |suspension| suspension.why == Why::Flaps);
        self.reports.extend(ended.into_iter().map(Report::Ended));
    }

    /// Whether all these facts are suspended already.
    pub(crate) fn has_all(&self, blamed: &[Blamed], now: Now) -> bool {
        let suspension = |fact| {
            self.facts
                .get(fact)
                .is_some_and(|suspension| suspension.until > now)
        };
        blamed.iter().all(|one| suspension(&one.fact))
    }

    /// Whether facts of this interface are suspended now.
    pub(crate) fn concerns(&self, index: u32, now: Now) -> bool {
        let mut suspension = self.facts.values();
        suspension.any(|suspension| suspension.index == Some(index) && suspension.until > now)
    }

    /// The facts that are suspended now.
    pub fn facts(&self, now: Now) -> BTreeSet<Fact> {
        let suspension = self.facts.iter().filter(|(_, suspension)| suspension.until > now);
        suspension.map(|(fact, _)| fact.clone()).collect()
    }

    /// All suspensions, including those whose pause has ended.
    pub fn all(&self) -> impl Iterator<Item = (&Fact, &Suspension)> {
        self.facts.iter()
    }

    /// The time of the next change.
    pub fn wakes(&self) -> Option<Now> {
        let due = |suspension: &Suspension| match suspension.rechecked {
            true => ends_at(suspension),
            false => suspension.until,
        };
        self.facts.values().map(due).min()
    }

    pub(crate) fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }
}

/// Removes and returns the selected facts.
fn take(facts: &mut BTreeMap<Fact, Suspension>, which: impl Fn(&Suspension) -> bool) -> Vec<Fact> {
    let taken: Vec<Fact> = facts
        .iter()
        .filter(|(_, suspension)| which(suspension))
        .map(|(fact, _)| fact.clone())
        .collect();
    facts.retain(|_, suspension| !which(suspension));
    taken
}

/// Starts a longer pause.
fn extend(suspension: &mut Suspension, now: Now) {
    suspension.times += 1;
    suspension.rechecked = false;
    suspension.pause = growing(suspension.pause, 1, LONGEST);
    suspension.until = now + suspension.pause;
}

/// The time at which the suspension ends if the fact stays in sync.
fn ends_at(suspension: &Suspension) -> Now {
    suspension.until + suspension.pause.max(PROBATION)
}
