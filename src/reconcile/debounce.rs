//! Groups events that arrive in bursts: waits until no more arrive, up to a limit.

use std::time::Duration;

use crate::event::Now;

/// A wait for quiet.
#[derive(Debug)]
pub struct Debounce {
    quiet: Duration,
    longest: Duration,
    /// The times of the first and the last event.
    came: Option<(Now, Now)>,
}

impl Debounce {
    /// A burst is over once no event has arrived for `quiet`, or `longest` after its first event.
    pub fn new(quiet: Duration, longest: Duration) -> Self {
        Debounce {
            quiet,
            longest,
            came: None,
        }
    }

    /// Records an event.
    pub fn came(&mut self, now: Now) {
        let first = self.came.map_or(now, |(first, _)| first);
        self.came = Some((first, now));
    }

    /// Ends the burst: all its events were handled.
    pub fn over(&mut self) {
        self.came = None;
    }

    /// The time at which the burst is over if no more events arrive; `None` without an event.
    pub fn due(&self) -> Option<Now> {
        let (first, last) = self.came?;
        Some((last + self.quiet).min(first + self.longest))
    }

    /// Whether the burst is over.
    pub(crate) fn is_due(&self, now: Now) -> bool {
        self.due().is_some_and(|due| due <= now)
    }
}

const STORM_QUIET: Duration = Duration::from_millis(10);

const STORM_LONGEST: Duration = Duration::from_millis(500);

pub(crate) fn storm() -> Debounce {
    Debounce::new(STORM_QUIET, STORM_LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_quiet_but_not_for_ever() {
        let ms = Duration::from_millis;
        let mut lull = Debounce::new(ms(10), ms(25));
        assert_eq!(lull.due(), None);
        lull.came(ms(100));
        assert_eq!(lull.due(), Some(ms(110)));
        lull.came(ms(109));
        assert!(!lull.is_due(ms(110)));
        lull.came(ms(118));
        assert_eq!(lull.due(), Some(ms(125)));
        assert!(lull.is_due(ms(125)));
        lull.over();
        assert_eq!(lull.due(), None);
    }
}
