//! When the worker is started, and started again: a state machine of events and time, which does
//! nothing itself.

use std::time::Duration;

/// The first wait before a restart; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// A worker that ran for so long has earned that the next wait is the first again.
const PROVEN: Duration = Duration::from_secs(60);

/// A worker tells its statistics every second; one that was not heard for so long hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A document wants the worker, or none does.
    Wanted(bool),
    /// It said something.
    Heard,
    /// It ended, or could not be started.
    Ended,
    /// Time went by.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Start it.
    Start,
    /// End it: no document wants it any more.
    Stop,
    /// Kill it: it hangs. [`Event::Ended`] follows.
    Kill,
}

/// Where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not wanted.
    #[default]
    Off,
    /// Running.
    Running {
        /// When it was started.
        since: Duration,
        /// When it was heard last.
        heard: Duration,
    },
    /// It ended and will be started again.
    Waiting {
        /// When.
        until: Duration,
    },
}

/// The state machine. Moments are counted from any fixed point.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lifecycle {
    phase: Phase,
    /// How long the last wait was.
    waited: Duration,
    /// How often it ended by itself.
    restarts: u64,
}

impl Lifecycle {
    /// Where it is.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// How often it was started again since netkeel started.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// When [`Event::Tick`] is due.
    pub fn due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Off => None,
            Phase::Running { heard, .. } => Some(heard + PATIENCE),
            Phase::Waiting { until } => Some(until),
        }
    }

    /// Takes an event.
    pub fn step(&mut self, event: Event, now: Duration) -> Action {
        let start = Phase::Running {
            since: now,
            heard: now,
        };
        match (event, self.phase) {
            (Event::Wanted(true), Phase::Off) => {
                self.waited = Duration::ZERO;
                self.phase = start;
                Action::Start
            }
            (Event::Wanted(false), Phase::Running { .. }) => {
                self.phase = Phase::Off;
                Action::Stop
            }
            (Event::Wanted(false), Phase::Waiting { .. }) => {
                self.phase = Phase::Off;
                Action::None
            }
            (Event::Heard, Phase::Running { since, .. }) => {
                self.phase = Phase::Running { since, heard: now };
                Action::None
            }
            (Event::Ended, Phase::Running { since, .. }) => {
                let proven = now.saturating_sub(since) >= PROVEN;
                self.waited = if proven || self.waited.is_zero() {
                    FIRST
                } else {
                    (self.waited * 2).min(LONGEST)
                };
                self.restarts += 1;
                self.phase = Phase::Waiting {
                    until: now + self.waited,
                };
                Action::None
            }
            (Event::Tick, Phase::Running { since, heard }) if now.saturating_sub(heard) >= PATIENCE => {
                // Killed once: it gets as long again to be gone.
                self.phase = Phase::Running { since, heard: now };
                Action::Kill
            }
            (Event::Tick, Phase::Waiting { until }) if now >= until => {
                self.phase = start;
                Action::Start
            }
            _ => Action::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn waits_longer_each_time_and_less_after_a_good_run() {
        let mut worker = Lifecycle::default();
        assert_eq!(worker.step(Event::Tick, at(0)), Action::None);
        assert_eq!(worker.step(Event::Wanted(true), at(0)), Action::Start);
        assert_eq!(worker.step(Event::Wanted(true), at(1)), Action::None);
        let mut now = at(1);
        let mut waits = Vec::new();
        for _ in 0..11 {
            worker.step(Event::Ended, now);
            let due = worker.due().unwrap();
            waits.push((due - now).as_millis());
            assert_eq!(worker.step(Event::Tick, due - at(1)), Action::None);
            assert_eq!(worker.step(Event::Tick, due), Action::Start);
            now = due;
        }
        assert_eq!(
            waits,
            [
                100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000
            ]
        );
        assert_eq!(worker.restarts(), 11);
        worker.step(Event::Ended, now + PROVEN);
        assert_eq!(worker.due(), Some(now + PROVEN + FIRST));
        assert_eq!(worker.step(Event::Wanted(false), now + PROVEN), Action::None);
        assert_eq!(worker.due(), None);
    }

    #[test]
    fn one_that_hangs_is_killed() {
        let mut worker = Lifecycle::default();
        worker.step(Event::Wanted(true), at(0));
        worker.step(Event::Heard, at(5_000));
        assert_eq!(worker.step(Event::Tick, at(14_999)), Action::None);
        assert_eq!(worker.step(Event::Tick, at(15_000)), Action::Kill);
        assert_eq!(worker.step(Event::Tick, at(15_001)), Action::None);
        worker.step(Event::Ended, at(15_002));
        assert_eq!(worker.step(Event::Tick, at(15_102)), Action::Start);
        assert_eq!(worker.step(Event::Wanted(false), at(15_103)), Action::Stop);
    }

    proptest! {
        /// Whatever happens, it is not started more often than the waits allow, and it never rests
        /// without a moment at which it goes on while it is wanted.
        #[test]
        fn never_spins_and_never_sleeps(events in proptest::collection::vec((0u8..4, 0u64..200), 1..200)) {
            let (mut worker, mut now, mut wanted) = (Lifecycle::default(), at(0), false);
            let mut last_end = None;
            for (event, wait) in events {
                now += at(wait);
                let event = match event {
                    0 => Event::Wanted(true),
                    1 => Event::Ended,
                    2 => Event::Heard,
                    _ => Event::Tick,
                };
                wanted |= event == Event::Wanted(true);
                let running = matches!(worker.phase(), Phase::Running { .. });
                let action = worker.step(event, now);
                if action == Action::Start && let Some(end) = last_end {
                    prop_assert!(now - end >= FIRST);
                }
                if event == Event::Ended && running {
                    last_end = Some(now);
                }
                prop_assert_eq!(worker.due().is_some(), wanted);
            }
        }
    }
}
