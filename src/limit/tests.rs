//! Limits in simulated time: an incident passes, a flood does not, and an honest router is heard
//! through it.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;
use std::time::Duration;

use super::{Limiter, Limits, Rate};
use crate::packet::sample::Sample;
use crate::packet::{Address, Refusal, TooBig, read};

type Keyed = BuildHasherDefault<DefaultHasher>;

fn limiter(limits: Limits) -> Limiter<Keyed> {
    Limiter::new(limits, Keyed::default())
}

fn address(number: u32) -> Address {
    IpAddr::from(Ipv4Addr::from(number)).into()
}

/// A packet by numbers: source, quoted destination, port.
fn packet(source: u32, destination: u32, port: u32) -> TooBig {
    static SOUND: LazyLock<TooBig> = LazyLock::new(|| read(&Sample::ipv4().bytes()).unwrap());
    let mut packet = *SOUND;
    packet.source = address(source);
    packet.quoted.destination = address(destination);
    packet.quoted.ports = port;
    packet
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_same_is_not_said_twice() {
    let mut limiter = limiter(Limits::default());
    let first = packet(1, 2, 3);
    let at = |milliseconds| Duration::from_millis(milliseconds);
    assert_eq!(limiter.admit(&first, 8, at(0)), Ok(()));
    assert_eq!(limiter.admit(&first, 8, at(2_999)), Err(Refusal::Duplicate));
    // Another router may say it first.
    assert_eq!(
        limiter.admit(&packet(9, 2, 3), 8, at(10)),
        Err(Refusal::Duplicate)
    );
    assert_eq!(limiter.admit(&packet(1, 2, 4), 8, at(10)), Ok(()));
    assert_eq!(limiter.admit(&packet(1, 4, 3), 8, at(10)), Ok(()));
    let smaller = TooBig { mtu: 1300, ..first };
    assert_eq!(limiter.admit(&smaller, 8, at(10)), Ok(()));
    let udp = TooBig {
        quoted: crate::packet::Flow {
            protocol: 17,
            ..first.quoted
        },
        ..first
    };
    assert_eq!(limiter.admit(&udp, 8, at(10)), Ok(()));
    assert_eq!(limiter.admit(&first, 8, at(3_000)), Ok(()));
}

#[test]
fn an_incident_passes_at_once() {
    for peers in [8, 32] {
        let mut limiter = limiter(Limits::default());
        let passed = (0..3_000)
            .filter(|flow| {
                let now = Duration::from_micros(u64::from(*flow) * 300);
                limiter.admit(&packet(1, flow % 50, *flow), peers, now).is_ok()
            })
            .count();
        assert_eq!(passed, 3_000, "to {peers} peers");
    }
}

#[test]
fn sources_destinations_and_copies_are_bounded() {
    let hour = 3_600;
    let ten = Rate {
        per_second: 10,
        burst: 20,
    };
    let run = |limits: Limits, packet: &dyn Fn(u32) -> TooBig, refusal: Refusal| {
        let mut limiter = limiter(limits);
        let mut passed = 0;
        for second in 0..10 {
            for number in 0..1_000u32 {
                let now = Duration::from_millis(u64::from(second * 1_000 + number)) + SECOND * hour;
                match limiter.admit(&packet(second * 1_000 + number), 8, now) {
                    Ok(()) => passed += 1,
                    Err(why) => assert_eq!(why, refusal),
                }
            }
        }
        passed
    };
    let limits = Limits {
        per_source: ten,
        ..Limits::default()
    };
    let passed = run(limits, &|number| packet(7, number, number), Refusal::SourceRate);
    assert!((115..=121).contains(&passed), "{passed} of one source");

    let limits = Limits {
        per_destination: ten,
        ..Limits::default()
    };
    let passed = run(
        limits,
        &|number| packet(number, 7, number),
        Refusal::DestinationRate,
    );
    // Newcomers have half of the burst.
    assert!((105..=111).contains(&passed), "{passed} about one destination");

    let copies = Rate {
        per_second: 800,
        burst: 1_600,
    };
    let limits = Limits {
        copies,
        ..Limits::default()
    };
    let passed = run(
        limits,
        &|number| packet(number, number, number),
        Refusal::CopyRate,
    );
    assert!((1_095..=1_101).contains(&passed), "{passed} to 8 peers");
}

#[test]
fn more_peers_than_the_burst_is_still_some() {
    let copies = Rate {
        per_second: 100,
        burst: 10,
    };
    let mut limiter = limiter(Limits {
        copies,
        ..Limits::default()
    });
    assert_eq!(limiter.admit(&packet(1, 1, 1), 100, Duration::ZERO), Ok(()));
    assert_eq!(limiter.admit(&packet(2, 2, 2), 100, Duration::ZERO), Ok(()));
    assert_eq!(
        limiter.admit(&packet(3, 3, 3), 100, Duration::ZERO),
        Err(Refusal::CopyRate)
    );
}

/// How many of its packets a router that sends ten a second from a moment on gets through a flood:
/// `flood` a second, each from the next of so many sources. Counted are those after it was heard
/// for a second.
fn through(flood: u32, sources: u32, seconds: u32, from: u32) -> (f64, f64) {
    let mut limiter = limiter(Limits::default());
    let (mut sent, mut got, mut flooded) = (0u32, 0u32, 0u32);
    let (mut number, every) = (0u32, Duration::from_secs(1) / flood);
    let mut next = SECOND * from;
    for tick in 0..flood * seconds {
        let now = every * tick;
        number = number.wrapping_add(1);
        // Sources in no order, each about a destination of its own.
        let source = (number % sources).wrapping_mul(2_654_435_761);
        if limiter.admit(&packet(source, number, number), 8, now).is_ok() {
            flooded += 1;
        }
        if now >= next {
            next += Duration::from_millis(100);
            sent += 1;
            let honest = packet(0x0a00_0001, 0xc000_0000 | (sent % 97), sent);
            got += u32::from(limiter.admit(&honest, 8, now).is_ok());
        }
    }
    (
        f64::from(got) / f64::from(sent),
        f64::from(flooded) / f64::from(seconds),
    )
}

#[test]
fn a_steady_source_is_heard_through_a_million_forged_ones() {
    // It was there before, it comes in the middle.
    for from in [0, 4] {
        let (share, flooded) = through(50_000, 1_000_000, 20, from);
        assert!(
            share >= 0.9,
            "{share} of a steady source passed, from second {from}"
        );
        // The burst once, then the rate: the flood does not exceed what copies may cost.
        assert!(
            flooded <= 50_000.0 / 8.0 + 200_000.0 / 8.0 / 20.0,
            "{flooded} a second"
        );
        assert!(flooded >= 5_000.0, "nothing is left unused: {flooded} a second");
    }
}

#[test]
fn regular_sources_share_what_there_is() {
    // 400 sources with 125 a second each would like eight times what there is; the fair share of
    // each is some 15 a second, and the steady source with its ten stays below.
    let (share, flooded) = through(50_000, 400, 20, 4);
    assert!(share >= 0.9, "{share} of a steady source passed");
    assert!(flooded >= 5_000.0, "nothing is left unused: {flooded} a second");
}
