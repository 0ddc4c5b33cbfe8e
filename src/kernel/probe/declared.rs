//! Runs the probes of a document that send packets of their own.

use std::net::{IpAddr, SocketAddr};

use crate::probe::encapsulated::{ask, packet};
use crate::probe::path_mtu::probe;
use netkeel_core::error::Error;
use netkeel_core::probe::{Outcome, ProbeResult, Protocol};
use netkeel_mtu::probe::encapsulated::Answer;
use netkeel_mtu::probe::reply::Method;
use netkeel_mtu::probe::report::{Report, Verdict};

/// Measures a path MTU in the calling thread's namespace. It takes some twenty seconds at most.
///
/// # Errors
/// When the packets cannot be sent.
pub fn path_mtu(
    target: IpAddr,
    protocol: Option<Protocol>,
    port: Option<u16>,
    expect: Option<u16>,
) -> Result<ProbeResult, Error> {
    let report = probe(target, &Method::all(protocol, port))?;
    Ok(of_path(&report, expect))
}

/// Sends an encapsulated SYN in the calling thread's namespace, and judges the answer.
///
/// # Errors
/// When the packet cannot be made or sent.
pub fn ipip(realserver: IpAddr, service: SocketAddr, expect: Option<u16>) -> Result<ProbeResult, Error> {
    let packet = packet(realserver, None, service.ip(), service.port())?;
    let answer = ask(&packet)?;
    Ok(ProbeResult {
        outcome: match answer {
            // A SYN-ACK has an MSS, by default that of RFC 9293.
            Answer::SynAck { .. } => Outcome::SynAck {
                mss: answer.mss(packet.inner_dst).unwrap_or_default(),
            },
            Answer::Reset => Outcome::Reset,
            Answer::InnerRejected { from, reason } | Answer::OuterRejected { from, reason } => {
                Outcome::Rejected { from, reason }
            }
            Answer::Silent => Outcome::Silent,
        },
        as_expected: answer.is_well(&packet, expect),
    })
}

fn of_path(report: &Report, expect: Option<u16>) -> ProbeResult {
    let outcome = match report.verdict() {
        Verdict::Carries(_, found) => Outcome::Carries { mtu: found.mtu },
        Verdict::BlackHole(_, found) => Outcome::BlackHole { mtu: found.mtu },
        Verdict::LostOnTheWayBack { found, .. } => Outcome::LostOnTheWayBack { mtu: found.mtu },
        Verdict::Unknown => Outcome::Silent,
    };
    ProbeResult {
        outcome,
        as_expected: report.is_well(expect.map(u32::from)),
    }
}
