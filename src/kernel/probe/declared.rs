//! Runs the probes that a document declares.

use crate::probe::encapsulated::{ask, packet};
use crate::probe::path_mtu;
use netkeel_core::error::Error;
use netkeel_core::probe::{Outcome, Probe, ProbeResult, Target};
use netkeel_mtu::probe::encapsulated::Answer;
use netkeel_mtu::probe::reply::Method;
use netkeel_mtu::probe::report::{Report, Verdict};

/// Runs a probe in the calling thread's namespace. It takes some twenty seconds at most. `None` for a probe that asks
/// the services of other nodes.
pub fn run(probe: &Probe) -> Option<ProbeResult> {
    let failed = |error: Error| ProbeResult {
        outcome: Outcome::Failed {
            message: error.message,
        },
        as_expected: None,
    };
    Some(match probe.target {
        Target::PathMtu {
            target,
            protocol,
            port,
        } => {
            let report = path_mtu::probe(target, &Method::all(protocol, port));
            report.map_or_else(failed, |report| of_path(&report, probe.expect))
        }
        Target::Ipip { realserver, service } => {
            let sent = packet(realserver, None, service.ip(), service.port())
                .and_then(|packet| Ok((packet, ask(&packet)?)));
            sent.map_or_else(failed, |(packet, answer)| ProbeResult {
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
                as_expected: answer.is_well(&packet, probe.expect),
            })
        }
        Target::Replicate { .. } => return None,
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
