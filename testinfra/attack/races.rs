//! Confirmations that race with the watchdog: either it is confirmed and all of it stays, or it is undone and
//! nothing of it does.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::confirmed::{CHANGES, Ended, until_unwatched};
use crate::random::Random;
use crate::world::{DOCUMENT, DropIn, Place, World, inside};
use crate::{full, seed, tell};

/// The first promise, milliseconds. An apply takes less, or is not counted, and the next promise is longer.
const WITHIN: u64 = 1200;

/// Confirmations come so long before or after the deadline at most, milliseconds.
const AROUND: u64 = 60;

#[derive(Debug, Default)]
struct Counts {
    kept: usize,
    undone: usize,
    slow: usize,
}

fn race(world: &World, random: &mut Random, promise: u64, counts: &mut Counts) {
    let before = world.look();
    let start = Instant::now();
    let within = format!("{promise}ms");
    let ran = world.netkeel(&[
        "apply",
        "-f",
        DOCUMENT,
        "--allow-management",
        "--retry-rejected",
        "--confirm-within",
        &within,
    ]);
    let at = Duration::from_millis(promise - AROUND + random.below(2 * AROUND as usize) as u64);
    if ran.code != 0 || start.elapsed() > at {
        counts.slow += 1;
        until_unwatched();
        assert_eq!(world.look().difference(&before), None, "{ran:?}");
        return;
    }
    sleep(at.saturating_sub(start.elapsed()));
    let confirm = world.netkeel(&["confirm", "--lock-timeout", "60s"]);
    until_unwatched();
    match confirm.code {
        0 => {
            counts.kept += 1;
            let check = world.netkeel(&["check", "-f", DOCUMENT]);
            assert_eq!(check.code, 0, "it was confirmed, and {check:?}");
            assert_eq!(world.netkeel(&["release", "--allow-lossy"]).code, 0);
        }
        3 => counts.undone += 1,
        _ => panic!("{confirm:?}"),
    }
    assert_eq!(world.look().difference(&before), None, "{confirm:?}");
}

#[test]
fn a_confirmation_that_races_with_the_watchdog_is_whole_or_nothing() {
    let wanted = if full() { 60 } else { 4 };
    let mut counts = Counts::default();
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        world.document(CHANGES);
        let mut random = Random::new(seed());
        let mut promise = WITHIN;
        while counts.kept + counts.undone < wanted {
            let slow = counts.slow;
            race(world, &mut random, promise, &mut counts);
            if counts.slow > slow {
                promise = (promise * 3 / 2).min(30_000);
            }
            assert!(counts.slow < 10 * wanted, "this machine is too slow: {counts:?}");
        }
    });
    let Counts { kept, undone, slow } = counts;
    tell(&format!(
        "races of confirm against the watchdog (NETKEEL_SEED={}): {wanted}, {kept} kept, {undone} undone, 0 halves; {slow} applies too slow to race",
        seed()
    ));
}
