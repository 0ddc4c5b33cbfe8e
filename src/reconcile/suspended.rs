//! Facts that are left alone for a while: those that cannot be written, and those that another
//! program writes again and again. The pause doubles each time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::event::{Blamed, Now};
use crate::rate_limiter::growing;
use netkeel_core::fact::Fact;

/// A fact that had to be put right so often...
const OFTEN: usize = 5;

/// ... within this time flaps. One that appears is written by its CNI and by udev beside netkeel.
const WITHIN: Duration = Duration::from_secs(10);

/// The first pause of a fact that flaps, and the longest.
const FLAPS: Duration = Duration::from_secs(1);

/// The first pause of a fact that could not be written, and the longest of all.
const REFUSED: Duration = Duration::from_secs(5);

const LONGEST: Duration = Duration::from_secs(300);

/// A fact that was not touched for so long beyond its pause is at peace.
const PEACE: Duration = Duration::from_secs(30);

/// Why a fact is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another program writes it too.
    Flaps,
    /// It could not be written.
    Refused(String),
}

/// A fact that is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Why.
    pub why: Why,
    /// Since when.
    pub since: Now,
    /// Until when.
    pub until: Now,
    /// How long this time.
    pub pause: Duration,
    /// How often it was put right, or tried to, since.
    pub times: u32,
    /// The interface's index.
    pub index: Option<u32>,
    /// It was looked at again after the pause.
    looked: bool,
}

/// What became known of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It is left alone from now on.
    Began(Fact, Suspension),
    /// It was put right or tried again, in vain.
    GoesOn(Fact, Suspension),
    /// It is at peace.
    Ended(Fact),
}

/// All of them.
#[derive(Debug, Default)]
pub struct Suspended {
    facts: BTreeMap<Fact, Suspension>,
    /// When each fact was written lately.
    lately: BTreeMap<Fact, (Option<u32>, VecDeque<Now>)>,
    swept: Now,
    reports: Vec<Report>,
}

impl Suspended {
    /// Facts were put right.
    pub fn wrote(&mut self, facts: Vec<(Fact, Option<u32>)>, now: Now) {
        for (fact, index) in facts {
            match self.facts.get_mut(&fact) {
                Some(alone) if alone.index == index && alone.why == Why::Flaps => {
                    extend(alone, now);
                    self.reports.push(Report::GoesOn(fact, alone.clone()));
                }
                _ => self.count(fact, index, now),
            }
        }
        if self.swept + WITHIN <= now {
            self.swept = now;
            self.lately
                .retain(|_, (_, times)| times.back().is_some_and(|last| *last + WITHIN > now));
            self.settle(now);
        }
    }

    fn count(&mut self, fact: Fact, index: Option<u32>, now: Now) {
        // It was made anew, or could be written at last.
        if self.facts.remove(&fact).is_some() {
            self.reports.push(Report::Ended(fact.clone()));
        }
        let (of, times) = self.lately.entry(fact.clone()).or_default();
        if *of != index {
            *of = index;
            times.clear();
        }
        times.push_back(now);
        while times.front().is_some_and(|first| *first + WITHIN <= now) {
            times.pop_front();
        }
        if times.len() >= OFTEN {
            let alone = Suspension {
                why: Why::Flaps,
                since: times.front().copied().unwrap_or(now),
                until: now + FLAPS,
                pause: FLAPS,
                times: times.len() as u32,
                index,
                looked: false,
            };
            self.lately.remove(&fact);
            self.reports.push(Report::Began(fact.clone(), alone.clone()));
            self.facts.insert(fact, alone);
        }
    }

    /// Facts could not be written.
    pub fn refused(&mut self, blamed: Vec<Blamed>, now: Now) {
        for Blamed { fact, index, why } in blamed {
            if let Some(alone) = self.facts.get_mut(&fact).filter(|alone| alone.index == index) {
                if let Why::Refused(said) = &mut alone.why {
                    *said = why.to_string();
                }
                extend(alone, now);
                self.reports.push(Report::GoesOn(fact, alone.clone()));
                continue;
            }
            let alone = Suspension {
                why: Why::Refused(why.to_string()),
                since: now,
                until: now + REFUSED,
                pause: REFUSED,
                times: 1,
                index,
                looked: false,
            };
            self.reports.push(Report::Began(fact.clone(), alone.clone()));
            self.facts.insert(fact, alone);
        }
    }

    /// The facts that are to be looked at again now, each once.
    pub fn due(&mut self, now: Now) -> Vec<(Fact, Option<u32>)> {
        self.settle(now);
        let due = self
            .facts
            .iter_mut()
            .filter(|(_, alone)| !alone.looked && alone.until <= now);
        due.map(|(fact, alone)| {
            alone.looked = true;
            (fact.clone(), alone.index)
        })
        .collect()
    }

    /// An interface went, and its facts with it.
    pub fn went(&mut self, index: u32) {
        let gone = take(&mut self.facts, |alone| alone.index == Some(index));
        self.reports.extend(gone.into_iter().map(Report::Ended));
    }

    /// Lets go of those that are at peace.
    fn settle(&mut self, now: Now) {
        let peaceful = |alone: &Suspension| alone.looked && at_peace(alone) <= now;
        let ended = take(&mut self.facts, peaceful);
        self.reports.extend(ended.into_iter().map(Report::Ended));
    }

    /// Another document: what could not be written may be now.
    pub(crate) fn forgive(&mut self) {
        let forgiven = take(&mut self.facts, |alone| alone.why != Why::Flaps);
        self.reports.extend(forgiven.into_iter().map(Report::Ended));
    }

    /// Whether all of these are left alone already.
    pub(crate) fn has_all(&self, blamed: &[Blamed], now: Now) -> bool {
        let alone = |fact| self.facts.get(fact).is_some_and(|alone| alone.until > now);
        blamed.iter().all(|one| alone(&one.fact))
    }

    /// Whether an interface has facts that are left alone now.
    pub(crate) fn concerns(&self, index: u32, now: Now) -> bool {
        let mut alone = self.facts.values();
        alone.any(|alone| alone.index == Some(index) && alone.until > now)
    }

    /// The facts that are left alone now.
    pub fn facts(&self, now: Now) -> BTreeSet<Fact> {
        let alone = self.facts.iter().filter(|(_, alone)| alone.until > now);
        alone.map(|(fact, _)| fact.clone()).collect()
    }

    /// All, and those that are on probation.
    pub fn all(&self) -> impl Iterator<Item = (&Fact, &Suspension)> {
        self.facts.iter()
    }

    /// When one is due.
    pub fn wakes(&self) -> Option<Now> {
        let due = |alone: &Suspension| match alone.looked {
            true => at_peace(alone),
            false => alone.until,
        };
        self.facts.values().map(due).min()
    }

    pub(crate) fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }
}

/// Takes some out.
fn take(facts: &mut BTreeMap<Fact, Suspension>, which: impl Fn(&Suspension) -> bool) -> Vec<Fact> {
    let taken: Vec<Fact> = facts
        .iter()
        .filter(|(_, alone)| which(alone))
        .map(|(fact, _)| fact.clone())
        .collect();
    facts.retain(|_, alone| !which(alone));
    taken
}

/// Leaves it alone for longer than the last time.
fn extend(alone: &mut Suspension, now: Now) {
    alone.times += 1;
    alone.looked = false;
    alone.pause = growing(alone.pause, 1, LONGEST);
    alone.until = now + alone.pause;
}

/// When it has been quiet for long enough.
fn at_peace(alone: &Suspension) -> Now {
    alone.until + alone.pause.max(PEACE)
}
