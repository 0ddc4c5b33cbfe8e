//! Signals at random moments to every command that writes: after a recovery the host is as before or as
//! wanted.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::confirmed::{CHANGES, Ended, kill, start, until, until_unwatched};
use crate::observed::Observed;
use crate::random::Random;
use crate::world::{DOCUMENT, DropIn, Place, World, inside};
use crate::{full, seed, tell};

const SIGNALS: &[&str] = &["KILL", "TERM", "INT", "HUP", "QUIT"];

/// A command, and whether it begins on a host where the document is applied.
const COMMANDS: &[(&[&str], bool)] = &[
    (
        &["apply", "-f", DOCUMENT, "--allow-management", "--retry-rejected"],
        false,
    ),
    (
        &[
            "apply",
            "-f",
            DOCUMENT,
            "--allow-management",
            "--retry-rejected",
            "--confirm-within",
            "1s",
        ],
        false,
    ),
    (&["release", "--allow-lossy"], true),
    (&["recover"], false),
    (&["recover", "--resume"], false),
    (&["confirm"], false),
    (&["run", "-f", DOCUMENT, "--allow-management"], false),
];

/// The two states that there may be.
struct States {
    before: Observed,
    wanted: Observed,
}

fn done(world: &World, command: &[&str]) {
    let ran = world.netkeel(command);
    assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
}

/// Brings a world to where a command begins.
fn prepare(world: &World, command: &[&str], applied: bool, took: Duration, random: &mut Random) {
    let apply = COMMANDS[0].0;
    match command[0] {
        _ if applied => done(world, apply),
        "recover" => {
            // An apply that was killed somewhere in its middle.
            let mut child = start(apply);
            sleep(took.mul_f64(0.5) + took.mul_f64(random.below(100) as f64 / 250.0));
            let _ = child.kill();
            let _ = child.wait();
        }
        "confirm" => done(world, &[apply, &["--confirm-within", "3s"]].concat()),
        _ => {}
    }
}

/// One signal; which of the two states it led to.
fn one(world: &World, states: &States, took: Duration, random: &mut Random) -> (&'static str, &'static str) {
    let (command, applied) = *random.of(COMMANDS);
    let signal = *random.of(SIGNALS);
    prepare(world, command, applied, took, random);
    let mut child = start(command);
    sleep(took.mul_f64(random.below(1000) as f64 / 900.0));
    if child.try_wait().unwrap().is_none() {
        kill(signal, child.id());
    }
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        // A reload does not end a service.
        if command[0] == "run" && begun.elapsed() > Duration::from_millis(300) {
            kill("TERM", child.id());
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{command:?} does not end"
        );
        sleep(Duration::from_millis(5));
    }
    until_unwatched();
    let what = format!("{command:?} and SIG{signal} (NETKEEL_SEED={})", seed());
    until(&format!("{what} is recovered"), || {
        world.netkeel(&["recover"]).code == 0
    });
    let look = world.look();
    let check = world.netkeel(&["check", "-f", DOCUMENT]);
    let state = match check.code {
        0 => (&states.wanted, "wanted"),
        2 => (&states.before, "before"),
        _ => panic!("{what}: {check:?}"),
    };
    assert_eq!(look.difference(state.0), None, "{what}: a half");
    done(world, &["release", "--allow-lossy"]);
    assert_eq!(
        world.look().difference(&states.before),
        None,
        "{what}: after a release"
    );
    (command[0], state.1)
}

#[test]
fn a_signal_at_any_moment_leaves_no_half() {
    let (signals, veths) = if full() { (800, 100) } else { (20, 10) };
    let start = Instant::now();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut random = Random::new(seed());
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        let script = (0..veths).map(|number| {
            format!(
                "link add cali9{number} address 02:00:00:01:00:{number:02x} type veth peer name cali9{number}p address 02:00:00:02:00:{number:02x}\n"
            )
        });
        world.ip(&script.collect::<String>());
        let pods = "  pods: { match: { name: 'cali9*' }, mtu: 1440, rp_filter: strict }\n";
        world.document(&CHANGES.replace("nflog:\n", &format!("{pods}nflog:\n")));
        let before = world.look();
        let begun = Instant::now();
        done(world, COMMANDS[0].0);
        let took = begun.elapsed();
        let states = States {
            wanted: world.look(),
            before,
        };
        done(world, &["release", "--allow-lossy"]);
        assert_eq!(world.look().difference(&states.before), None);
        for _ in 0..signals {
            *counts.entry(one(world, &states, took, &mut random)).or_default() += 1;
        }
    });
    let shown: Vec<String> = counts
        .iter()
        .map(|((command, state), count)| format!("{count} {command} to {state}"))
        .collect();
    tell(&format!(
        "signals (NETKEEL_SEED={}): {signals}, {}; 0 halves; {} s",
        seed(),
        shown.join(", "),
        start.elapsed().as_secs()
    ));
}
