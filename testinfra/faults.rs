//! Kills netkeel at every write, makes every write fail, and compares full snapshots of the host:
//! afterwards it is as it was before or as it was wanted, and nothing in between. strace kills and
//! fails; the product has no hook for it.
//!
//! Needs root, iproute2, nftables and strace, and fails without them. The host is not touched: each
//! case has a network and a mount namespace of its own. By default a sample is tried, drawn with
//! `NETKEEL_SEED`; `NETKEEL_FULL=1` tries every point.

#[path = "faults/errors.rs"]
mod errors;
#[path = "faults/kill.rs"]
mod kill;
#[path = "faults/kinds.rs"]
mod kinds;
#[path = "support/kinds.rs"]
mod names;
#[path = "faults/observed.rs"]
mod observed;
#[path = "conformance/random.rs"]
mod random;
#[path = "faults/release.rs"]
mod release;
#[path = "faults/rollback.rs"]
mod rollback;
#[path = "faults/stored.rs"]
mod stored;
#[path = "faults/trace.rs"]
mod trace;
#[path = "faults/world.rs"]
mod world;

use std::io::Write;

/// The seed of every sample; `NETKEEL_SEED` overrides it.
fn seed() -> u64 {
    std::env::var("NETKEEL_SEED").map_or(20_261_120, |text| text.parse().unwrap())
}

/// Every point is tried.
fn full() -> bool {
    std::env::var_os("NETKEEL_FULL").is_some_and(|value| value == "1")
}

/// Past the harness, which hides what a test that passes prints.
fn tell(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}
