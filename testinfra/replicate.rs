//! Replication with real packets: a router, a node with netkeel's worker, peers and their pods, each
//! in a network namespace of its own.
//!
//! Needs root, iproute2 and nftables, and fails without them.

#[allow(dead_code, reason = "shared with the tests of the service")]
#[path = "service/daemon.rs"]
mod daemon;
#[path = "replicate/frames.rs"]
mod frames;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "replicate/probe.rs"]
mod probe;
#[path = "replicate/process.rs"]
mod process;
#[path = "replicate/refuse.rs"]
mod refuse;
#[path = "../src/packet/sample.rs"]
#[allow(dead_code, reason = "unit tests use more of it")]
mod sample;
#[path = "replicate/spread.rs"]
mod spread;
#[path = "replicate/wire.rs"]
mod wire;
#[path = "replicate/world.rs"]
mod world;

/// The longest wait of a test, which allows for a busy machine.
const SOON: std::time::Duration = std::time::Duration::from_secs(90);
