//! What replication costs: netkeel's worker against a bare program that receives from NFLOG and sends
//! without judging, and against any other replicator, in one run and over the same wire.
//!
//! See README.md beside it. It needs root, iproute2 and nftables, works in network namespaces of its
//! own and removes them.

#[path = "replicate/floor.rs"]
mod floor;
#[path = "replicate/measure.rs"]
mod measure;
#[path = "replicate/rate.rs"]
mod rate;
#[path = "../src/packet/sample.rs"]
#[allow(dead_code, reason = "unit tests use more of it")]
mod sample;
#[path = "replicate/subject.rs"]
mod subject;
#[path = "replicate/wire.rs"]
mod wire;
#[path = "replicate/world.rs"]
mod world;

use measure::{Costs, Latency, Many};
use rate::Highest;
use subject::Subject;
use world::World;

use std::io;
use std::io::Write;
use std::process::ExitCode;

/// Copies, and the events a second at which their cost is measured.
const LOADS: [(u32, u32); 4] = [(1, 20_000), (8, 20_000), (32, 5_000), (100, 2_000)];

/// Repetitions of each; the medians count.
const ROUNDS: usize = 3;

/// Copies, and the events a second from which the highest rate is searched. With one copy a program is
/// likely to be faster than the generator.
const RATES: [(u32, u32); 3] = [(1, 40_000), (8, 10_000), (32, 3_000)];

/// Searches of each; the best counts, since nothing makes a program faster than it is.
const SEARCHES: usize = 2;

/// What is measured, by the words of `--only`.
const PARTS: [&str; 4] = ["costs", "rates", "latency", "many"];

/// The goal of memory, KiB.
const RESIDENT: u64 = 8 * 1024;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    if arguments.first().is_some_and(|first| first == floor::MODE) {
        floor::run(&arguments[1..]);
    }
    let mut only = None;
    if arguments.first().is_some_and(|first| first == "--only") {
        arguments.remove(0);
        only = (!arguments.is_empty()).then(|| arguments.remove(0));
        if !only.as_deref().is_some_and(|only| PARTS.contains(&only)) {
            say(&format!("--only one of {}", PARTS.join(", ")));
            return ExitCode::FAILURE;
        }
    }
    let peer = (arguments.first().is_some_and(|first| first == "--peer")).then(|| arguments.split_off(1));
    if peer.as_ref().is_some_and(Vec::is_empty) || peer.is_none() && !arguments.is_empty() {
        say("usage: cargo bench --bench replicate [-- [--only PART] [--peer PROGRAM ARGUMENT...]]");
        return ExitCode::FAILURE;
    }
    match bench(peer, only.as_deref()) {
        true => ExitCode::SUCCESS,
        false => {
            say("\nMISSED: descriptors are constant, and 8 MiB of memory at most");
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    let _ = io::stdout().write_all(format!("{line}\n").as_bytes());
}

/// Measures everything, or one part, and says whether what no machine excuses is as it should be.
fn bench(peer: Option<Vec<String>>, only: Option<&str>) -> bool {
    let world = World::new();
    let mut kinds = vec![Subject::Floor, Subject::Netkeel];
    kinds.extend(peer.map(Subject::Peer));
    let mut good = true;
    for part in PARTS
        .into_iter()
        .filter(|part| only.is_none_or(|only| only == *part))
    {
        match part {
            "costs" => costs(&world, &kinds),
            "rates" => rates(&world, &kinds),
            "latency" => latency(&world, &kinds),
            _ => good = many(&world, &kinds),
        }
    }
    good
}

/// What an event costs.
fn costs(world: &World, kinds: &[Subject]) {
    say("CPU of an event in µs, ratio to the floor, and what else was seen\n");
    say(
        "| copies | events/s | program | µs an event | ratio | events | copies missing | RSS KiB | descriptors |",
    );
    say("|---:|---:|---|---:|---:|---:|---:|---:|---|");
    for (copies, rate) in LOADS {
        let mut all: Vec<Vec<Costs>> = kinds.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            // They take turns, so that a moment in which the machine is slow meets all.
            for (kind, costs) in kinds.iter().zip(&mut all) {
                let running = kind.start(world, copies, false);
                costs.push(measure::costs(world, &running, rate, copies));
            }
        }
        let median = |costs: &mut Vec<Costs>| {
            costs.sort_by(|one, other| one.cpu.total_cmp(&other.cpu));
            costs[costs.len() / 2].clone()
        };
        let medians: Vec<Costs> = all.iter_mut().map(median).collect();
        for (kind, costs) in kinds.iter().zip(&medians) {
            say(&format!(
                "| {copies} | {rate} | {kind} | {:.2} | {:.2} | {} | {} | {} | {} → {} |",
                costs.cpu,
                costs.cpu / medians[0].cpu,
                costs.events,
                costs.missing,
                costs.resident,
                costs.descriptors.0,
                costs.descriptors.1
            ));
        }
    }
}

/// The highest rates.
fn rates(world: &World, kinds: &[Subject]) {
    say("\nHighest rate of events without loss\n");
    say("| copies | program | events/s | ratio |");
    say("|---:|---|---:|---:|");
    for (copies, from) in RATES {
        let mut best = vec![Highest::default(); kinds.len()];
        for _ in 0..SEARCHES {
            for (kind, best) in kinds.iter().zip(&mut best) {
                let found = rate::highest(world, kind, copies, from);
                if found.rate > best.rate {
                    *best = found;
                }
            }
        }
        for (kind, found) in kinds.iter().zip(&best) {
            let ratio = found.rate as f64 / best[0].rate as f64;
            say(&format!("| {copies} | {kind} | {found} | {ratio:.2} |"));
        }
    }
}

/// How long a copy takes.
fn latency(world: &World, kinds: &[Subject]) {
    say("\nFrom sending an event to its first copy, 100 events a second, 1 copy\n");
    say("| program | p50 µs | p99 µs |");
    say("|---|---:|---:|");
    for kind in kinds {
        let running = kind.start(world, 1, true);
        let Latency { p50, p99 } = measure::latency(world, &running);
        say(&format!("| {kind} | {p50:.0} | {p99:.0} |"));
    }
}

/// What many events leave behind; whether that is as it should be.
fn many(world: &World, kinds: &[Subject]) -> bool {
    say("\nA million events, 1 copy\n");
    say("| program | events | peak RSS KiB | descriptors |");
    say("|---|---:|---:|---|");
    let mut good = true;
    for kind in kinds {
        let Many {
            events,
            resident,
            descriptors: (before, after),
        } = measure::many(world, &mut kind.start(world, 1, false));
        say(&format!(
            "| {kind} | {events} | {resident} | {before} → {after} |"
        ));
        good &= !matches!(kind, Subject::Netkeel) || before == after && resident <= RESIDENT;
    }
    good
}
