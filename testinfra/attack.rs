//! Attacks on what netkeel promises: signals at random moments, confirmations that race with the watchdog,
//! watchdogs that are killed, namespaces, power cuts, and a state directory that breaks at each step of a
//! confirmed apply. Afterwards the host is as before or as confirmed, and nothing in between.
//!
//! Needs root, iproute2, nftables and python3, and fails without them. The host is not touched: each case
//! has a network and a mount namespace of its own. By default a sample is tried, drawn with `NETKEEL_SEED`;
//! `NETKEEL_FULL=1` tries all.

#[path = "attack/accepted.rs"]
mod accepted;
#[path = "attack/boot.rs"]
mod boot;
#[path = "attack/broken.rs"]
mod broken;
#[path = "attack/confirmed.rs"]
mod confirmed;
#[path = "attack/elsewhere.rs"]
mod elsewhere;
#[path = "attack/managed.rs"]
mod managed;
#[path = "attack/names.rs"]
mod names;
#[path = "faults/observed.rs"]
mod observed;
#[path = "attack/promise.rs"]
mod promise;
#[path = "attack/races.rs"]
mod races;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "conformance/random.rs"]
mod random;
#[path = "attack/scene.rs"]
mod scene;
#[path = "attack/signals.rs"]
mod signals;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "faults/world.rs"]
mod world;

use std::io::Write;

/// The seed of every sample; `NETKEEL_SEED` overrides it.
fn seed() -> u64 {
    std::env::var("NETKEEL_SEED").map_or(20_261_128, |text| text.parse().unwrap())
}

/// Everything is tried.
fn full() -> bool {
    std::env::var_os("NETKEEL_FULL").is_some_and(|value| value == "1")
}

/// Past the harness, which hides what a test that passes prints.
fn tell(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}
