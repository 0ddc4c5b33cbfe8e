//! Limits in simulated time: an incident passes, a flood does not, and an honest router passes during a
//! flood.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;
use std::time::Duration;

use crate::address::Address;
use crate::limit::flow_hash::Key;
use crate::limit::limiter::Limiter;
use crate::read::read;
use crate::sample::Sample;
use crate::too_big::TooBig;
use netkeel_core::replication::limits::{Limits, Rate};
use netkeel_core::replication::refusal::Refusal;

fn limiter(limits: Limits) -> Limiter {
    Limiter::new(limits, Key::new(&BuildHasherDefault::<DefaultHasher>::default()))
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
    // Another router may send it first.
    assert_eq!(
        limiter.admit(&packet(9, 2, 3), 8, at(10)),
        Err(Refusal::Duplicate)
    );
    assert_eq!(limiter.admit(&packet(1, 2, 4), 8, at(10)), Ok(()));
    assert_eq!(limiter.admit(&packet(1, 4, 3), 8, at(10)), Ok(()));
    let smaller = TooBig { mtu: 1300, ..first };
    assert_eq!(limiter.admit(&smaller, 8, at(10)), Ok(()));
    let udp = TooBig {
        quoted: crate::too_big::Flow {
            protocol: 17,
            ..first.quoted
        },
        ..first
    };
    assert_eq!(limiter.admit(&udp, 8, at(10)), Ok(()));
    // A forger who does not know the sequence number keeps nobody else out.
    let guessed = TooBig {
        quoted: crate::too_big::Flow {
            guess: 0xdead_beef,
            ..first.quoted
        },
        ..first
    };
    assert_eq!(limiter.admit(&guessed, 8, at(10)), Ok(()));
    assert_eq!(limiter.admit(&guessed, 8, at(20)), Err(Refusal::Duplicate));
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
    let passed = run(limits, &|number| packet(7, 9, number), Refusal::SourceRate);
    // The rate of the source, and the trickle of its one destination: 20 and 20 a second.
    assert!((330..=341).contains(&passed), "{passed} of one source");

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

/// A flood, and a router that sends ten a second from a moment on.
struct Flood {
    /// Packets a second.
    rate: u32,
    sources: u32,
    /// Whether all packets, including the router's, are about one destination.
    one: bool,
    /// The second at which the router begins to send, of 20.
    from: u32,
}

/// Length of a flood in seconds.
const LASTS: u32 = 20;

impl Flood {
    /// The fraction of the router's packets that pass, and the flood's packets that pass per second.
    fn pass(&self) -> (f64, f64) {
        let mut limiter = limiter(Limits::default());
        let (mut sent, mut got, mut flooded) = (0u32, 0u32, 0u32);
        let every = Duration::from_secs(1) / self.rate;
        let mut next = SECOND * self.from;
        let about = |number: u32| if self.one { 7 } else { number };
        for tick in 0..self.rate * LASTS {
            let now = every * tick;
            // Sources in a scattered order.
            let turn = tick.wrapping_mul(0x9e37_79b9) >> 4;
            let source = (turn % self.sources).wrapping_mul(2_654_435_761);
            let forged = packet(source, about(tick), tick);
            flooded += u32::from(limiter.admit(&forged, 8, now).is_ok());
            if now >= next {
                next += Duration::from_millis(100);
                sent += 1;
                let honest = packet(0x0a00_0001, about(0xc000_0000 | (sent % 97)), !sent);
                got += u32::from(limiter.admit(&honest, 8, now).is_ok());
            }
        }
        (
            f64::from(got) / f64::from(sent),
            f64::from(flooded) / f64::from(LASTS),
        )
    }
}

/// The maximum that a flood may get in a second: the rate, and once the burst.
fn most(rate: Rate, copies: u32) -> f64 {
    f64::from(rate.per_second / copies) + f64::from(rate.burst / copies) / f64::from(LASTS)
}

#[test]
fn a_steady_source_is_heard_through_a_million_forged_ones() {
    // The router sends from the start, or begins during the flood.
    for from in [0, 4] {
        let (share, flooded) = Flood {
            rate: 50_000,
            sources: 1_000_000,
            one: false,
            from,
        }
        .pass();
        assert!(
            share >= 0.9,
            "{share} of a steady source passed, from second {from}"
        );
        assert!(flooded <= most(Limits::default().copies, 8), "{flooded} a second");
        assert!(flooded >= 5_000.0, "nothing is left unused: {flooded} a second");
    }
}

#[test]
fn regular_sources_share_what_there_is() {
    // 400 sources with 125 a second each exceed the limit eight times. The fair share of each is some
    // 15 a second, so the steady source with its ten stays below it.
    let (share, flooded) = Flood {
        rate: 50_000,
        sources: 400,
        one: false,
        from: 4,
    }
    .pass();
    assert!(share >= 0.9, "{share} of a steady source passed");
    assert!(flooded >= 5_000.0, "nothing is left unused: {flooded} a second");
}

#[test]
fn a_steady_source_is_heard_through_a_flood_about_the_same_client() {
    // A million sources that send seldom, some that send as much as they can, and some as steady as
    // the router, which the limiter cannot distinguish from it.
    let floods = [
        (50_000, 1_000_000, 4),
        (10_000, 10, 0),
        (10_000, 10, 4),
        (2_000, 200, 0),
        (2_000, 200, 4),
    ];
    for (rate, sources, from) in floods {
        let flood = Flood {
            rate,
            sources,
            one: true,
            from,
        };
        let (share, flooded) = flood.pass();
        assert!(
            share >= 0.9,
            "{share} of a steady source passed through {sources}, from second {from}"
        );
        let steady = sources == 200;
        assert!(
            steady || flooded <= most(Limits::default().per_destination, 1),
            "{flooded} a second of {sources}"
        );
        assert!(
            flooded >= 900.0,
            "nothing is left unused: {flooded} a second of {sources}"
        );
    }
}

#[test]
fn one_regular_source_may_use_nearly_all_of_a_destination() {
    let mut limiter = limiter(Limits::default());
    let passed = (0..10_000).filter(|flow| limiter.admit(&packet(1, 2, *flow), 1, SECOND).is_ok());
    let passed = passed.count();
    assert!((3_600..=4_000).contains(&passed), "{passed} at once");
}

/// A flood with the router's own address about random destinations, and the router itself.
struct OwnAddress {
    /// Forged packets a second.
    rate: u32,
    peers: u32,
    /// Packets of the router a second, and the number of its clients in turn.
    honest: u32,
    clients: u32,
}

impl OwnAddress {
    /// The fraction of the router's packets that pass, and the number of copies a second.
    fn pass(&self) -> (f64, f64) {
        const ROUTER: u32 = 0x0a00_0001;
        let mut limiter = limiter(Limits::default());
        let (mut sent, mut got, mut all) = (0u32, 0u32, 0u32);
        let (every, gap) = (SECOND / self.rate, SECOND / self.honest);
        // The flood is first, and has used up the burst when the router begins.
        let mut next = SECOND * 5;
        for tick in 0..self.rate * LASTS {
            let now = every * tick;
            let forged = packet(ROUTER, tick.wrapping_mul(0x9e37_79b9), tick);
            all += u32::from(limiter.admit(&forged, self.peers, now).is_ok());
            if now >= next {
                next += gap;
                sent += 1;
                let client = 0xc000_0000 | (sent % self.clients);
                let passed = limiter
                    .admit(&packet(ROUTER, client, !sent), self.peers, now)
                    .is_ok();
                got += u32::from(passed);
                all += u32::from(passed);
            }
        }
        (
            f64::from(got) / f64::from(sent),
            f64::from(all * self.peers) / f64::from(LASTS),
        )
    }
}

#[test]
fn a_forger_of_the_routers_own_address_does_not_silence_it() {
    // Forged packets a second, peers, packets of the router a second, clients.
    for (rate, peers, honest, clients) in [
        (5_000, 8, 10, 97),
        (5_000, 8, 100, 100),
        (5_000, 32, 1, 1),
        (5_000, 32, 20, 10),
        (50_000, 8, 10, 1),
        (50_000, 8, 10, 5),
    ] {
        let (share, copies) = OwnAddress {
            rate,
            peers,
            honest,
            clients,
        }
        .pass();
        assert!(
            share >= 0.9,
            "{share} passed through {rate} a second to {peers} peers, about {clients} clients"
        );
        let limit = Limits::default().copies;
        let most = f64::from(limit.per_second) + f64::from(limit.burst) / f64::from(LASTS);
        assert!(copies <= most, "{copies} copies a second");
    }
}
