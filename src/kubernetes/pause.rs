//! The pauses after failures.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::trouble::Failed;

/// The pause after the first failure.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

/// The pause after the first answer of an overloaded server. It asks for a second itself (`Retry-After`).
const PAUSE_OVERLOADED: Duration = Duration::from_secs(1);

/// The longest pause.
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// A failure so long after the last one begins another outage: to connect takes at most 30 s, and a pause at most 10 s.
const ANOTHER: Duration = Duration::from_secs(60);

/// The share of an outage for which the next attempt may wait.
const SHARE: u32 = 200;

/// All agents of a cluster ask the server together at most once in this time, for an outage that does not last long.
const EACH: Duration = Duration::from_millis(1);

/// Waits, and doubles the next pause. `spread` is from 0 to 1: it spreads the requests of many agents over time.
pub(crate) async fn wait(pause: &mut Duration, spread: f64) {
    sleep(spread_out(*pause, spread)).await;
    *pause = doubled(*pause);
}

/// The same after a request that failed.
pub(crate) async fn wait_after(why: &Failed, pause: &mut Duration, spread: f64) {
    if why.is_throttled {
        *pause = PAUSE_OVERLOADED.max(*pause);
    }
    wait(pause, spread).await;
}

fn spread_out(pause: Duration, spread: f64) -> Duration {
    pause.mul_f64(1.0 + spread.clamp(0.0, 1.0))
}

fn doubled(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(PAUSE_LONGEST)
}

/// The failed attempts of a follower that has a list already.
///
/// A server that is away is asked again soon, so that the list is right soon after it is back. The pause grows with the outage
/// and with the number of agents. It doubles each time while the server is overloaded, and while there is no list.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// The first and the last failure of the outage.
    failures: Option<(Instant, Instant)>,
    /// The number of failures for which the pause doubled.
    doubled: u32,
}

impl Attempts {
    /// The outage is over.
    pub(crate) fn succeeded(&mut self) {
        *self = Attempts::default();
    }

    /// The pause after a failure at `now`. `peers` is the number of peers in the last list.
    pub(crate) fn failed(&mut self, now: Instant, is_overloaded: bool, peers: Option<usize>) -> Duration {
        let of_outage = |(_, last): &(Instant, Instant)| now.saturating_duration_since(*last) < ANOTHER;
        let known = self.failures.filter(of_outage);
        if known.is_none() {
            self.doubled = 0;
        }
        let (first, _) = known.unwrap_or((now, now));
        self.failures = Some((first, now));
        match peers.filter(|_| !is_overloaded) {
            Some(peers) => {
                let share = now.saturating_duration_since(first) / SHARE;
                let others = EACH.saturating_mul(u32::try_from(peers).unwrap_or(u32::MAX));
                PAUSE.max(share).max(others).min(PAUSE_LONGEST)
            }
            None => {
                let first = if is_overloaded { PAUSE_OVERLOADED } else { PAUSE };
                let pause = (0..self.doubled).fold(first, |pause, _| doubled(pause));
                self.doubled = self.doubled.saturating_add(1).min(u8::MAX.into());
                pause
            }
        }
    }

    /// Waits after a failure.
    pub(crate) async fn wait(&mut self, is_overloaded: bool, peers: Option<usize>, spread: f64) {
        let pause = self.failed(Instant::now(), is_overloaded, peers);
        sleep(spread_out(pause, spread)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses after failures at these seconds, milliseconds.
    fn pauses(failures: &[(u64, bool, Option<usize>)]) -> Vec<u128> {
        let (start, mut attempts) = (Instant::now(), Attempts::default());
        let failed = failures.iter().map(|(at, is_overloaded, peers)| {
            let now = start + Duration::from_secs(*at);
            attempts.failed(now, *is_overloaded, *peers).as_millis()
        });
        failed.collect()
    }

    #[test]
    fn a_server_that_is_away_for_a_minute_is_asked_more_than_once_a_second() {
        let minute: Vec<_> = (0..=60).map(|at| (at, false, Some(20))).collect();
        let pauses = pauses(&minute);
        assert_eq!((pauses[0], pauses[60]), (250, 300));
        assert!(pauses.iter().all(|pause| *pause <= 300), "{pauses:?}");
    }

    #[test]
    fn the_pause_grows_with_a_long_outage_and_with_the_number_of_agents() {
        let hour: Vec<_> = (0..=100).map(|at| (at * 36, false, Some(20))).collect();
        assert_eq!(pauses(&hour)[100], 5_000);
        let many = |peers| pauses(&[(0, false, Some(peers))])[0];
        assert_eq!(
            [many(250), many(900), many(5_000), many(90_000)],
            [250, 900, 5_000, 5_000]
        );
    }

    #[test]
    fn an_overloaded_server_and_one_that_listed_nothing_yet_are_asked_less_and_less() {
        let seven = |is_overloaded, peers| {
            (0..7)
                .map(move |at| (at, is_overloaded, peers))
                .collect::<Vec<_>>()
        };
        let growing = [1_000, 2_000, 4_000, 5_000, 5_000, 5_000, 5_000];
        assert_eq!(pauses(&seven(true, Some(20))), growing);
        let growing = [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000];
        assert_eq!(pauses(&seven(false, None)), growing);
    }

    #[test]
    fn another_outage_and_a_success_begin_anew() {
        let failures = [
            (0, false, None),
            (1, false, None),
            (50, false, Some(1)),
            (120, false, None),
        ];
        assert_eq!(pauses(&failures), [250, 500, 250, 250]);
        let (now, mut attempts) = (Instant::now(), Attempts::default());
        let failed = |attempts: &mut Attempts| attempts.failed(now, false, None).as_millis();
        assert_eq!([failed(&mut attempts), failed(&mut attempts)], [250, 500]);
        attempts.succeeded();
        assert_eq!(failed(&mut attempts), 250);
    }
}
