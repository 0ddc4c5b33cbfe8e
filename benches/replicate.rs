//! What replication costs: netkeel's worker against a bare program that receives from NFLOG and sends
//! without judging, and against any other replicator, in one run and over the same wire.
//!
//! See README.md beside it. It needs root, iproute2 and nftables, works in network namespaces of its
//! own and removes them.

#[path = "replicate/floor.rs"]
mod floor;
#[path = "replicate/measure.rs"]
mod measure;
#[path = "../src/packet/sample.rs"]
#[allow(dead_code, reason = "unit tests use more of it")]
mod sample;
#[path = "replicate/subject.rs"]
mod subject;
#[path = "replicate/wire.rs"]
mod wire;
#[path = "replicate/world.rs"]
mod world;

use std::io::{self, Write};
use std::process::ExitCode;

use measure::{Costs, Latency};
use subject::Subject;
use world::World;

/// Copies, and the events a second at which their cost is measured.
const LOADS: [(u32, u32); 4] = [(1, 20_000), (8, 20_000), (32, 5_000), (100, 2_000)];

/// Repetitions of each; the medians count.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    if arguments.first().is_some_and(|first| first == floor::MODE) {
        floor::run(&arguments[1..]);
    }
    let peer = (arguments.first().is_some_and(|first| first == "--peer")).then(|| arguments.split_off(1));
    if peer.as_ref().is_some_and(Vec::is_empty) || peer.is_none() && !arguments.is_empty() {
        say("usage: cargo bench --bench replicate [-- --peer PROGRAM ARGUMENT...]");
        return ExitCode::FAILURE;
    }
    bench(peer);
    ExitCode::SUCCESS
}

fn say(line: &str) {
    let _ = io::stdout().write_all(format!("{line}\n").as_bytes());
}

fn bench(peer: Option<Vec<String>>) {
    let world = World::new();
    let mut kinds = vec![Subject::Floor, Subject::Netkeel];
    kinds.extend(peer.map(Subject::Peer));

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
                let running = kind.start(&world, copies, false);
                costs.push(measure::costs(&world, &running, rate, copies));
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

    say("\nHighest rate of events without loss, 1 second each\n");
    say("| copies | program | events/s |");
    say("|---:|---|---:|");
    for copies in [1, 8] {
        for kind in &kinds {
            let rate = measure::without_loss(&world, kind, copies);
            say(&format!("| {copies} | {kind} | {rate} |"));
        }
    }

    say("\nFrom sending an event to its first copy, 100 events a second, 1 copy\n");
    say("| program | p50 µs | p99 µs |");
    say("|---|---:|---:|");
    for kind in &kinds {
        let running = kind.start(&world, 1, true);
        let Latency { p50, p99 } = measure::latency(&world, &running);
        say(&format!("| {kind} | {p50:.0} | {p99:.0} |"));
    }
}
