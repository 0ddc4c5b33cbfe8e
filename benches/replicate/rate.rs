//! The highest rate of events that all come to all their copies: a search of bounded length.

use std::fmt;
use std::time::{Duration, Instant};

use super::measure::{generate, quiet};
use super::subject::{Running, Subject};
use super::world::World;

/// How long events come at each rate.
const LENGTH: Duration = Duration::from_secs(1);

/// Tries at each rate: a moment in which the machine is busy with other things fails one.
const TRIES: u32 = 3;

/// While it passes the rate grows by half; then what is between is halved so often, which leaves a
/// thirtieth.
const HALVINGS: u32 = 4;

/// A search takes no longer.
const LIMIT: Duration = Duration::from_secs(60);

/// What a search found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Highest {
    /// Events a second.
    pub rate: u64,
    /// No rate was too high for it: there is no more that the generator can send.
    pub of_generator: bool,
}

impl fmt::Display for Highest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.of_generator { "≥ " } else { "" };
        write!(f, "{more}{}", self.rate)
    }
}

/// What came of one rate.
enum Outcome {
    /// So many events a second, and all their copies.
    Passed(u64),
    /// Copies were missing.
    Lost,
    /// The generator did not reach it.
    Unreached,
}

/// Searches upwards from a rate that any program can do.
pub fn highest(world: &World, kind: &Subject, copies: u32, from: u32) -> Highest {
    let mut running = kind.start(world, copies, false);
    let begin = Instant::now();
    let mut best = Highest::default();
    let (mut rate, mut above, mut halvings) = (from, None, 0);
    while halvings < HALVINGS && begin.elapsed() < LIMIT {
        match attempt(world, &mut running, copies, rate) {
            Outcome::Passed(events) => {
                best = Highest {
                    rate: events.max(best.rate),
                    of_generator: false,
                };
                rate = match above {
                    Some(above) => {
                        halvings += 1;
                        (rate + above) / 2
                    }
                    None => rate + rate / 2,
                };
            }
            Outcome::Unreached => {
                best.of_generator = true;
                break;
            }
            Outcome::Lost => {
                above = Some(rate);
                rate = (u64::from(rate) + best.rate) as u32 / 2;
                halvings += 1;
            }
        }
    }
    best
}

fn attempt(world: &World, running: &mut Running, copies: u32, rate: u32) -> Outcome {
    let mut outcome = Outcome::Unreached;
    for _ in 0..TRIES {
        let before = quiet(world);
        let events = generate(world, rate, LENGTH);
        running.poll();
        let sent = quiet(world) - before;
        if sent != events * u64::from(copies) {
            outcome = Outcome::Lost;
        } else if events * 100 >= u64::from(rate) * 97 {
            return Outcome::Passed(events);
        }
    }
    outcome
}
