//! Selects the part of the host to scan next, and the time.

use crate::event::Now;
use crate::reconciler::Reconciler;
use netkeel_plan::goal::part::Extent;

/// More waiting interfaces than this are a storm: a program is creating or changing many. It holds the
/// kernel's RTNL lock, so writing during a storm spins on that lock for every write and takes four times
/// the CPU time. The scan therefore waits until the events stop, up to a limit.
const STORM: usize = 16;

impl Reconciler {
    pub(crate) fn next_extent(&mut self, now: Now) -> Option<Extent> {
        if !self.passes.ready(now) {
            return None;
        }
        let full = self.full.ready(now);
        let extent = match self.suspects.pop_front() {
            Some(suspect) => suspect,
            None if self.all && full => Extent::All,
            None if self.rest && full => Extent::Rest,
            None if !self.links.is_empty() && self.storm_ends().is_none_or(|end| end <= now) => {
                let stacks = self.known.stacks(self.links.iter().copied());
                Extent::Links(stacks.into_iter().flatten().collect())
            }
            None => return None,
        };
        if matches!(extent, Extent::All | Extent::Rest) {
            self.full.take(now);
        }
        self.passes.take(now);
        Some(extent)
    }

    /// The time at which the waiting interfaces may be scanned, during a storm.
    fn storm_ends(&self) -> Option<Now> {
        self.storm.due().filter(|_| self.links.len() > STORM)
    }

    /// The time at which the next waiting part may be scanned.
    fn turn(&self) -> Option<Now> {
        let suspects = (!self.suspects.is_empty()).then_some(Now::ZERO);
        let whole = (self.all || self.rest).then(|| self.full.opens());
        let links = (!self.links.is_empty()).then(|| self.storm_ends().unwrap_or_default());
        let first = [suspects, whole, links].into_iter().flatten().min()?;
        Some(first.max(self.passes.opens()))
    }

    /// Failed parts and the times of their retries. The whole host is retried once its parts are in sync.
    pub(crate) fn tried_again(&self) -> impl Iterator<Item = (&Extent, Now)> {
        let parts = self.failing.keys().any(|extent| *extent != Extent::All) || !self.suspects.is_empty();
        let waits = move |extent: &Extent| parts && *extent == Extent::All;
        let failing = self.failing.iter().filter(move |(extent, _)| !waits(extent));
        failing.map(|(extent, (_, due))| (extent, *due))
    }

    /// The latest time at which [`Reconciler::poll`] must be called if no event arrives.
    pub fn wakes(&self) -> Option<Now> {
        if self.under_way {
            return None;
        }
        let waits = [
            self.load.then_some(Now::ZERO),
            self.touched.due(),
            self.paused,
            Some(self.next_full),
            self.suspended.wakes(),
            self.unsettled.due(),
            self.rules.due(),
        ];
        let failing = self.tried_again().map(|(_, due)| due);
        let others = self.later.values().copied().chain(failing);
        let wake = waits.into_iter().flatten().chain(others).chain(self.turn()).min();
        match self.blocked {
            Some((_, until)) => wake.map(|wake| if self.load { wake } else { wake.max(until) }),
            None => wake,
        }
    }

    /// Whether interfaces wait for the rate limit or for the end of a storm. New events may wait with them.
    pub fn waits_for_its_turn(&self, now: Now) -> bool {
        let waits = !self.links.is_empty() && self.blocked.is_none();
        waits && self.turn().is_some_and(|turn| turn > now)
    }
}
