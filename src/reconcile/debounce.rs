//! What comes in many parts is dealt with once no more come, and no later than after a longest wait.

use std::time::Duration;

use crate::event::Now;

/// A wait for quiet.
#[derive(Debug)]
pub struct Debounce {
    quiet: Duration,
    longest: Duration,
    /// When the first and the last part came.
    came: Option<(Now, Now)>,
}

impl Debounce {
    /// Quiet is when nothing came for so long; nothing waits for it longer than the second.
    pub fn new(quiet: Duration, longest: Duration) -> Self {
        Debounce {
            quiet,
            longest,
            came: None,
        }
    }

    /// A part came.
    pub fn came(&mut self, now: Now) {
        let first = self.came.map_or(now, |(first, _)| first);
        self.came = Some((first, now));
    }

    /// All that came is dealt with.
    pub fn over(&mut self) {
        self.came = None;
    }

    /// When what came is to be dealt with, unless more comes; none when nothing did.
    pub fn due(&self) -> Option<Now> {
        let (first, last) = self.came?;
        Some((last + self.quiet).min(first + self.longest))
    }

    /// Whether that moment has come.
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
