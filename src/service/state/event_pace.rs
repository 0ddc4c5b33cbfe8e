//! Paces the events of passes: a burst of new interfaces makes many passes that write.

use std::collections::BTreeMap;
use std::time::Duration;

use netkeel_reconcile::event::Now;

/// The shortest time between two events with one reason.
const EVERY: Duration = Duration::from_secs(60);

/// The events of passes that were written, by reason.
#[derive(Debug, Default)]
pub(crate) struct EventPace {
    told: BTreeMap<&'static str, Told>,
}

#[derive(Debug)]
struct Told {
    at: Now,
    /// The events since then that were not written.
    left_out: u64,
}

impl EventPace {
    /// Whether an event with this reason is written now: then the number of those that were left out since the last one.
    pub(crate) fn due(&mut self, reason: &'static str, now: Now) -> Option<u64> {
        if let Some(told) = self.told.get_mut(reason)
            && now.saturating_sub(told.at) < EVERY
        {
            told.left_out += 1;
            return None;
        }
        let before = self.told.insert(reason, Told { at: now, left_out: 0 });
        Some(before.map_or(0, |told| told.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_a_minute_counts_those_that_were_left_out() {
        let mut pace = EventPace::default();
        let seconds = Duration::from_secs;
        for (reason, now, written) in [
            ("Applied", 5, Some(0)),
            ("Applied", 6, None),
            ("RolledBack", 7, Some(0)),
            ("Applied", 64, None),
            ("Applied", 65, Some(2)),
            ("Applied", 200, Some(0)),
            ("RolledBack", 201, Some(0)),
        ] {
            assert_eq!(pace.due(reason, seconds(now)), written, "{reason} {now}");
        }
    }
}
