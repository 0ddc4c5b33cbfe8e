//! Measures the path to a host: by one method after the other, with the routers on the way and what the
//! kernel knows of the path.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use crate::probe::error_queue::Fault;
use crate::probe::packet;
use crate::probe::route_to::{MtuOfRoute, route_to};
use crate::probe::socket::{Heard, ProbeSocket};
use netkeel_core::error::Error;
use netkeel_mtu::probe::reply::{Method, Reply, Reporter};
use netkeel_mtu::probe::report::{Outcome, Report, RouteTo, Trial, Verdict};
use netkeel_mtu::probe::search::{Limit, Searched, search};
use netkeel_mtu::probe::trace::{Hop, Trace};

/// Longest wait for an answer to one packet.
const PATIENCE: Duration = Duration::from_millis(500);

/// Packets of one size. Linux limits unreachable messages to one a second (`icmp_ratelimit`), so the tries
/// together last longer than that.
const TRIES: usize = 3;

/// Packets with one TTL.
const TRACE_TRIES: usize = 2;

/// The largest TTL that is tried.
const HOPS: u8 = 30;

/// So many silent routers in a row end a trace.
const SILENT_HOPS: usize = 3;

/// Sizes that are asked by UDP without a pause, and the pause before each further one. Linux answers a
/// destination with six errors at once and one a second after that (`XRLIM_BURST_FACTOR`, `icmp_ratelimit`).
const BURST: usize = 5;

const PAUSE: Duration = Duration::from_secs(1);

/// Measures the path in the calling thread's namespace. A further method is tried if the one before got no
/// answer, or found a black hole that may be a filter of its protocol.
///
/// # Errors
/// When there is no route to the target, or netlink cannot be used.
pub fn probe(target: IpAddr, methods: &[Method]) -> Result<Report, Error> {
    let before = route_to(target)?;
    let mut report = Report {
        target,
        route: before.route(None),
        trials: Vec::new(),
        small: None,
        large: None,
    };
    for method in methods {
        let outcome = match report.verdict() {
            Verdict::Unknown => try_method(target, *method),
            Verdict::BlackHole(_, found) => check(target, *method, found.mtu + 1),
            Verdict::Carries(..) | Verdict::LostOnTheWayBack { .. } => break,
        };
        let outcome = outcome.unwrap_or_else(|error| Outcome::Failed { why: error.message });
        report.trials.push(Trial {
            method: *method,
            outcome,
        });
    }
    let (small, large) = match report.verdict() {
        Verdict::Unknown => (methods.first().copied(), None),
        Verdict::BlackHole(trial, found) => (Some(trial.method), Some(found.mtu + 1)),
        Verdict::LostOnTheWayBack { .. } => (methods.first().copied(), None),
        Verdict::Carries(trial, found) => match found.limit() {
            Limit::Router { .. } => (Some(trial.method), None),
            Limit::None | Limit::ThisHost | Limit::Rejected { .. } | Limit::Silence => (None, None),
        },
    };
    if let Some(method) = small {
        report.small = trace(target, method, packet::least(target)).ok();
        report.large = large.and_then(|size| trace(target, method, size).ok());
    }
    // The reports that came have taught the kernel.
    report.route = before.route(route_to(target).ok());
    Ok(report)
}

/// Measures the path by one method.
///
/// # Errors
/// When the packets cannot be sent, or the answers contradict each other.
pub(super) fn try_method(target: IpAddr, method: Method) -> Result<Outcome, Error> {
    let mut asked = 0;
    let searched = search(packet::least(target), |size| {
        asked += 1;
        if asked > BURST && matches!(method, Method::Udp { .. }) {
            thread::sleep(PAUSE);
        }
        ask(target, method, size)
    })?;
    Ok(match searched {
        Searched::Measured(found) => Outcome::Measured(found),
        Searched::Unanswered(answer) => Outcome::Unanswered { answer },
    })
}

/// Whether a size that one method could not get through passes by another; then the path is measured by it.
fn check(target: IpAddr, method: Method, size: u32) -> Result<Outcome, Error> {
    let answer = ask(target, method, packet::least(target))?;
    if !matches!(answer, Reply::Answered { .. }) {
        return Ok(Outcome::Unanswered { answer });
    }
    match ask(target, method, size)? {
        Reply::Answered { .. } => try_method(target, method),
        answer => Ok(Outcome::Checked { size, answer }),
    }
}

/// Sends packets of a size until one is answered.
fn ask(target: IpAddr, method: Method, size: u32) -> Result<Reply, Error> {
    let socket = ProbeSocket::open(target, method, size, None)?;
    for turn in 0..TRIES {
        match socket.ask(PATIENCE)? {
            Heard::Answered { after, back } => {
                // A later answer may be that of an earlier packet.
                let after = (turn == 0).then_some(after);
                return Ok(Reply::Answered { after, back });
            }
            Heard::Fault(Fault::TooBigHere(mtu)) => return Ok(too_big(mtu, size, Reporter::ThisHost)),
            Heard::Fault(Fault::TooBig(from, mtu)) => {
                return Ok(too_big(mtu, size, Reporter::Router(from)));
            }
            Heard::Fault(Fault::Undelivered(from, reason)) => return Ok(Reply::Undelivered { from, reason }),
            Heard::Fault(Fault::Expired(from)) => {
                let reason = "time to live exceeded: a routing loop";
                return Ok(Reply::Undelivered { from, reason });
            }
            Heard::Nothing => {}
        }
    }
    Ok(Reply::Silent)
}

fn too_big(mtu: u32, size: u32, from: Reporter) -> Reply {
    Reply::TooBig {
        mtu: (MtuOfRoute::LEAST..size).contains(&mtu).then_some(mtu),
        from,
    }
}

/// Finds the routers that take packets of a size.
fn trace(target: IpAddr, method: Method, size: u32) -> Result<Trace, Error> {
    let mut trace = Trace {
        size,
        ..Trace::default()
    };
    let mut silent = 0;
    for number in 1..=HOPS {
        match hop(target, method, size, number)? {
            HopReply::Arrived => {
                trace.arrived = true;
                break;
            }
            HopReply::Router(address) => {
                silent = 0;
                trace.hops.push(Hop {
                    number,
                    address: Some(address),
                });
            }
            HopReply::TooBig => break,
            HopReply::Silent => {
                silent += 1;
                trace.hops.push(Hop {
                    number,
                    address: None,
                });
                if silent == SILENT_HOPS {
                    break;
                }
            }
        }
    }
    Ok(trace)
}

/// The answer to a packet with a small TTL.
enum HopReply {
    Arrived,
    Router(IpAddr),
    TooBig,
    Silent,
}

fn hop(target: IpAddr, method: Method, size: u32, number: u8) -> Result<HopReply, Error> {
    let socket = ProbeSocket::open(target, method, size, Some(number))?;
    for _ in 0..TRACE_TRIES {
        match socket.ask(PATIENCE)? {
            Heard::Answered { .. } => return Ok(HopReply::Arrived),
            Heard::Fault(Fault::Expired(from) | Fault::Undelivered(from, _)) => {
                return Ok(HopReply::Router(from));
            }
            Heard::Fault(Fault::TooBig(..) | Fault::TooBigHere(_)) => return Ok(HopReply::TooBig),
            Heard::Nothing => {}
        }
    }
    Ok(HopReply::Silent)
}

impl MtuOfRoute {
    /// The smallest MTU that is believed, bytes (RFC 791).
    const LEAST: u32 = 68;

    fn route(&self, now: Option<MtuOfRoute>) -> RouteTo {
        RouteTo {
            interface: self.interface,
            interface_mtu: self.interface_mtu,
            ipv6_mtu: self.ipv6_mtu,
            gateway: self.gateway,
            route_mtu: self.configured,
            cached_before: self.cached,
            cached_now: now.map_or(self.cached, |now| now.cached),
        }
    }
}
