//! The lifecycle of the worker: a state machine over events and time, without side effects. It decides
//! when to start and restart the worker.

use std::time::Duration;

/// The first wait before a restart; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// After running this long, a worker's next wait is the first again.
const PROVEN: Duration = Duration::from_secs(60);

/// The worker sends statistics every second. After this much silence it hangs.
const HANG_TIMEOUT: Duration = Duration::from_secs(10);

/// An event for the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Whether a document declares replication.
    Wanted(bool),
    /// The worker sent a message.
    Message,
    /// The worker ended, or could not be started.
    Ended,
    /// Time passed.
    Tick,
}

/// The action that follows an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Start the worker.
    Start,
    /// Stop the worker: no document declares replication any more.
    Stop,
    /// Kill the worker: it hangs. [`Event::Ended`] follows.
    Kill,
}

/// The phase of the worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not wanted.
    #[default]
    Off,
    /// Running.
    Running {
        /// The time of the start.
        since: Duration,
        /// The time of the last message.
        last_message: Duration,
    },
    /// It ended and will be restarted.
    Waiting {
        /// The time of the restart.
        until: Duration,
    },
}

/// The state machine. Times count from any fixed point.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lifecycle {
    phase: Phase,
    /// The length of the last wait.
    waited: Duration,
    /// The number of restarts.
    restarts: u64,
}

impl Lifecycle {
    /// The current phase.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// The number of restarts since netkeel started.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The time at which [`Event::Tick`] is due.
    pub fn due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Off => None,
            Phase::Running { last_message, .. } => Some(last_message + HANG_TIMEOUT),
            Phase::Waiting { until } => Some(until),
        }
    }

    /// Handles an event.
    pub fn step(&mut self, event: Event, now: Duration) -> Action {
        let start = Phase::Running {
            since: now,
            last_message: now,
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
            (Event::Message, Phase::Running { since, .. }) => {
                self.phase = Phase::Running {
                    since,
                    last_message: now,
                };
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
            (Event::Tick, Phase::Running { since, last_message })
                if now.saturating_sub(last_message) >= HANG_TIMEOUT =>
            {
                // Killed once: it has the same time again to exit.
                self.phase = Phase::Running {
                    since,
                    last_message: now,
                };
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
        worker.step(Event::Message, at(5_000));
        assert_eq!(worker.step(Event::Tick, at(14_999)), Action::None);
        assert_eq!(worker.step(Event::Tick, at(15_000)), Action::Kill);
        assert_eq!(worker.step(Event::Tick, at(15_001)), Action::None);
        worker.step(Event::Ended, at(15_002));
        assert_eq!(worker.step(Event::Tick, at(15_102)), Action::Start);
        assert_eq!(worker.step(Event::Wanted(false), at(15_103)), Action::Stop);
    }

    proptest! {
        /// For any events: restarts never exceed the limit of the waits, and a wanted worker always has
        /// a next due time.
        #[test]
        fn restarts_are_limited_and_always_scheduled(events in proptest::collection::vec((0u8..4, 0u64..200), 1..200)) {
            let (mut worker, mut now, mut wanted) = (Lifecycle::default(), at(0), false);
            let mut last_end = None;
            for (event, wait) in events {
                now += at(wait);
                let event = match event {
                    0 => Event::Wanted(true),
                    1 => Event::Ended,
                    2 => Event::Message,
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
