//! Which part of the host is looked at next, and when.

use crate::event::Now;
use crate::reconciler::Reconciler;
use netkeel_plan::goal::part::Extent;

/// When more interfaces than these wait for a look, many are being made or changed. Whoever does that
/// holds the kernel's lock (rtnl), and writing meanwhile means to wait for it at every write, spinning:
/// it takes four times the CPU time. So they are looked at when no more came for so long, and no later
/// than the second.
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

    /// When the interfaces that wait may be looked at, where they are many.
    fn storm_ends(&self) -> Option<Now> {
        self.storm.due().filter(|_| self.links.len() > STORM)
    }

    /// When something of what waits for a look gets it.
    fn turn(&self) -> Option<Now> {
        let suspects = (!self.suspects.is_empty()).then_some(Now::ZERO);
        let whole = (self.all || self.rest).then(|| self.full.opens());
        let links = (!self.links.is_empty()).then(|| self.storm_ends().unwrap_or_default());
        let first = [suspects, whole, links].into_iter().flatten().min()?;
        Some(first.max(self.passes.opens()))
    }

    /// What failed, and when it is tried again: the whole when its parts hold.
    pub(crate) fn tried_again(&self) -> impl Iterator<Item = (&Extent, Now)> {
        let parts = self.failing.keys().any(|extent| *extent != Extent::All) || !self.suspects.is_empty();
        let waits = move |extent: &Extent| parts && *extent == Extent::All;
        let failing = self.failing.iter().filter(move |(extent, _)| !waits(extent));
        failing.map(|(extent, (_, due))| (extent, *due))
    }

    /// When [`Reconciler::poll`] has something to do at the latest, if nothing happens before.
    pub fn wakes(&self) -> Option<Now> {
        if self.under_way {
            return None;
        }
        let waits = [
            self.load.then_some(Now::ZERO),
            self.touched.due(),
            self.paused,
            Some(self.next_full),
            self.alone.wakes(),
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

    /// Interfaces wait for the rate of passes, or for more of them: what is told meanwhile may wait with
    /// them.
    pub fn waits_for_its_turn(&self, now: Now) -> bool {
        let waits = !self.links.is_empty() && self.blocked.is_none();
        waits && self.turn().is_some_and(|turn| turn > now)
    }
}
