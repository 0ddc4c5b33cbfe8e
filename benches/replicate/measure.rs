//! The measurements: what an event costs, what a million leave behind, and how long one takes.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::Pid;

use super::sample::Sample;
use super::subject::{Running, pin};
use super::wire::{Batch, name, packet_socket};
use super::world::World;
use netkeel_kernel::namespace::enter::inside;

/// How long events come.
const LENGTH: Duration = Duration::from_secs(2);

/// Different events; then they come again.
const EVENTS: u16 = 4096;

/// What one run came to.
#[derive(Clone)]
pub struct Costs {
    /// CPU of an event, µs.
    pub cpu: f64,
    pub events: u64,
    /// Copies that should have been sent and were not.
    pub missing: u64,
    /// KiB.
    pub resident: u64,
    /// Before and after.
    pub descriptors: (usize, usize),
}

/// p50 and p99, µs.
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
}

fn events() -> Vec<Vec<u8>> {
    let sample = |number| Sample {
        ports: (443, number),
        ..Sample::ipv4()
    };
    (0..EVENTS).map(|number| sample(number).bytes()).collect()
}

/// Sends events at a rate from the router, on the second processor, and returns how many came to the
/// node.
pub fn generate(world: &World, rate: u32, length: Duration) -> u64 {
    let link = World::index(&world.router, "eth0");
    let socket = inside(&world.router, packet_socket).unwrap();
    let names = [name(link, world.station)];
    let packets = events();
    let before = world.came();
    std::thread::scope(|scope| {
        let generator = scope.spawn(|| {
            pin(Pid::from_raw(0), 1);
            let mut batch = Batch::default();
            let begin = Instant::now();
            let mut sent = 0u64;
            while begin.elapsed() < length {
                let due = (begin.elapsed().as_secs_f64() * f64::from(rate)) as u64;
                // At once as many as a millisecond has, at most.
                let now = due.saturating_sub(sent).min(u64::from(rate / 1000).max(1)) as usize;
                let next = (0..now).map(|more| &*packets[(sent as usize + more) % packets.len()]);
                sent += batch.send(&socket, next, &names) as u64;
                if now == 0 {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        });
        generator.join().unwrap();
    });
    world.came() - before
}

/// Waits until no more copies go out.
pub fn quiet(world: &World) -> u64 {
    let mut before = world.sent();
    loop {
        std::thread::sleep(Duration::from_millis(150));
        let now = world.sent();
        if now == before {
            return now;
        }
        before = now;
    }
}

pub fn costs(world: &World, running: &Running, rate: u32, copies: u32) -> Costs {
    // Its memory is touched and its batches have their size.
    generate(world, rate, Duration::from_millis(300));
    quiet(world);
    let descriptors = running.descriptors();
    let (cpu, sent) = (running.cpu(), world.sent());
    let events = generate(world, rate, LENGTH);
    let sent = quiet(world) - sent;
    let cpu = running.cpu() - cpu;
    Costs {
        cpu: cpu as f64 / 1000.0 / events as f64,
        events,
        missing: (events * u64::from(copies)).saturating_sub(sent),
        resident: running.resident(),
        descriptors: (descriptors, running.descriptors()),
    }
}

/// How many events the goals of memory and descriptors are about, and how long they may take.
const MANY: u64 = 1_000_000;

const LONG: Duration = Duration::from_secs(60);

/// What many events came to.
pub struct Many {
    pub events: u64,
    /// KiB, at most.
    pub resident: u64,
    /// Before and after.
    pub descriptors: (usize, usize),
}

/// Lets a million events come, one copy each.
pub fn many(world: &World, running: &mut Running) -> Many {
    generate(world, 20_000, Duration::from_millis(300));
    let descriptors = running.descriptors();
    let (begin, mut events) = (Instant::now(), 0);
    while events < MANY && begin.elapsed() < LONG {
        events += generate(world, 100_000, LENGTH);
        running.poll();
    }
    quiet(world);
    Many {
        events,
        resident: running.resident(),
        descriptors: (descriptors, running.descriptors()),
    }
}

/// Sends an event every ten milliseconds and waits for its copy.
pub fn latency(world: &World, _running: &Running) -> Latency {
    std::thread::sleep(Duration::from_millis(1_500));
    let link = World::index(&world.router, "eth0");
    let out = inside(&world.router, packet_socket).unwrap();
    let names = [name(link, world.station)];
    let copies: OwnedFd = inside(&world.sink, || {
        let kind = SockType::Raw;
        socket(
            AddressFamily::Packet,
            kind,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .unwrap()
    })
    .unwrap();
    setsockopt(&copies, sockopt::ReceiveTimeout, &TimeVal::milliseconds(2_000)).unwrap();
    let packets = events();
    let mut buffer = [0; 2048];
    let mut batch = Batch::default();
    let mut took: Vec<f64> = Vec::new();
    for packet in packets.iter().take(300) {
        let begin = Instant::now();
        batch.send(&out, std::iter::once(&**packet), &names);
        let got = recv(copies.as_raw_fd(), &mut buffer, MsgFlags::empty());
        assert!(got.is_ok(), "no copy within two seconds");
        took.push(begin.elapsed().as_secs_f64() * 1e6);
        std::thread::sleep(Duration::from_millis(10));
    }
    took.sort_by(f64::total_cmp);
    Latency {
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
    }
}
