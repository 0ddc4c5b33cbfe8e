//! Where the packet of a probe of replication arrived, and why it did not arrive elsewhere, from the reports of the
//! nodes.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use netkeel_core::finding::Code;
use netkeel_core::replication::node_report::NodeReport;
use netkeel_core::replication::refusal::Refusal;
use netkeel_core::replication::settings::Mode;
use netkeel_core::replication::statistics::PeerState;
use netkeel_core::replication::worker::WorkerHealth;

/// The reports of one node.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The node.
    pub node: IpAddr,
    /// Its report before the packet was sent, if it answered.
    pub before: Option<NodeReport>,
    /// Its report after that, on all nodes as peers, or the error.
    pub after: Result<NodeReport, String>,
}

/// The packet on a node, as its worker recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "arrival", rename_all = "kebab-case")]
pub enum Arrival {
    /// The packet arrived, and the worker copied it.
    Original {
        /// The number of peers to which it sent a copy.
        copies: u32,
    },
    /// The packet arrived, and the worker refused it.
    Refused {
        /// The reason.
        refusal: Refusal,
    },
    /// Copies of a peer arrived.
    Copy {
        /// Their number.
        count: u32,
    },
    /// The worker recorded no packet.
    Nothing,
    /// The node could not be asked, or cannot know.
    Unknown,
}

/// A reason for what happened on a node, or for what nobody knows about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// Another node copied the packet too: one of them took a copy for the packet.
    CopiedTwice,
    /// The worker sends nothing (`dry_run`, `--dry-run`, `--mode observe`).
    DryRun,
    /// No document of the service has `replicate`.
    NotConfigured,
    /// The worker does not run, cannot read its group or reaches no peer.
    WorkerFailed,
    /// The service has not made its first full scan.
    Starting,
    /// Rules of `nflog` are not in place.
    RulesMissing {
        /// The number of facts that differ.
        count: usize,
    },
    /// The service has a finding about lost packets or copies.
    Finding {
        /// Its code.
        #[schemars(with = "String")]
        code: Code,
        /// Its subject.
        subject: String,
    },
    /// A node that copied the packet sends no copies to this one.
    PeerState {
        /// The node that copied.
        by: IpAddr,
        /// The state of this node there.
        state: PeerState,
    },
    /// This node is no peer of a node that copied the packet.
    NotAPeer {
        /// The node that copied.
        by: IpAddr,
    },
    /// The worker refused packets that it could not read: perhaps that of the probe.
    Unreadable {
        /// The reason.
        refusal: Refusal,
        /// Their number since the packet was sent.
        count: u64,
    },
    /// With `mode: ipip` copies come out of a tunnel, which the rules do not log.
    NotLogged,
    /// The worker had no room for the record of a further probe.
    NoRoom,
    /// A copy arrived, and no node that was asked has sent it.
    UnknownSender,
    /// The packet came by the MAC address of a peer, and the worker took it for a copy.
    TakenForCopy {
        /// The peer, which is the router too or has its MAC address.
        peer: IpAddr,
    },
    /// The node did not answer.
    NoAnswer {
        /// The error.
        message: String,
    },
}

impl Reason {
    /// Whether it means that replication does not work as declared on this node.
    fn is_fault(&self) -> bool {
        match self {
            Reason::CopiedTwice
            | Reason::DryRun
            | Reason::NotConfigured
            | Reason::WorkerFailed
            | Reason::RulesMissing { .. }
            | Reason::Finding { .. }
            | Reason::PeerState { .. }
            | Reason::TakenForCopy { .. }
            | Reason::NotAPeer { .. } => true,
            Reason::Starting
            | Reason::Unreadable { .. }
            | Reason::NotLogged
            | Reason::NoRoom
            | Reason::UnknownSender
            | Reason::NoAnswer { .. } => false,
        }
    }
}

/// The result for one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeResult {
    /// The node.
    pub node: IpAddr,
    /// The packet there, as its worker recorded it.
    #[serde(flatten)]
    pub arrival: Arrival,
    /// Whether replication works there; null where that is unknown.
    pub as_expected: Option<bool>,
    /// The reasons.
    pub reasons: Vec<Reason>,
}

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A node copied the packet, and a copy arrived on all others.
    Replicated,
    /// Replication does not work on some node, or no node got the packet.
    NotReplicated,
    /// Some node could not be asked or cannot know, and no other has a fault.
    Unknown,
}

/// Judges the reports on a packet to an address of IPv4 or IPv6.
pub fn judge(observed: &[Observed], ipv6: bool) -> (Verdict, Vec<NodeResult>) {
    let senders: BTreeMap<IpAddr, &NodeReport> = observed
        .iter()
        .filter_map(|one| {
            let report = one.after.as_ref().ok()?;
            let copied = report.record.as_ref()?.replicated > 0;
            copied.then_some((one.node, report))
        })
        .collect();
    let results: Vec<NodeResult> = observed.iter().map(|one| result(one, &senders, ipv6)).collect();
    let any = |wanted: Option<bool>| results.iter().any(|one| one.as_expected == wanted);
    // Every node can be asked, and none has seen the packet.
    let lost = !results.is_empty() && results.iter().all(|one| one.arrival == Arrival::Nothing);
    let verdict = if any(Some(false)) || lost {
        Verdict::NotReplicated
    } else if any(None) || results.is_empty() {
        Verdict::Unknown
    } else {
        Verdict::Replicated
    };
    (verdict, results)
}

fn result(observed: &Observed, senders: &BTreeMap<IpAddr, &NodeReport>, ipv6: bool) -> NodeResult {
    let node = observed.node;
    let report = match &observed.after {
        Ok(report) => report,
        Err(message) => {
            let message = message.clone();
            let mut reasons = vec![Reason::NoAnswer { message }];
            reasons.extend(of_senders(node, senders, ipv6));
            return NodeResult {
                node,
                arrival: Arrival::Unknown,
                as_expected: reasons.iter().any(Reason::is_fault).then_some(false),
                reasons,
            };
        }
    };
    let mut reasons = of_node(report);
    let mut arrival = arrival(report);
    match arrival {
        Arrival::Original { .. } if senders.len() > 1 => reasons.push(Reason::CopiedTwice),
        Arrival::Copy { .. } if senders.is_empty() => {
            let mut routers = report
                .peers
                .iter()
                .filter(|(_, state)| **state == PeerState::Router);
            reasons.push(match routers.next() {
                Some((peer, _)) => Reason::TakenForCopy { peer: *peer },
                None => Reason::UnknownSender,
            });
        }
        Arrival::Nothing => {
            reasons.extend(of_senders(node, senders, ipv6));
            if report.full {
                reasons.push(Reason::NoRoom);
            }
            reasons.extend(unreadable(observed.before.as_ref(), report));
            let tunnelled = !senders.is_empty() && senders.values().all(|one| one.mode == Some(Mode::Ipip));
            if tunnelled && !reasons.iter().any(Reason::is_fault) {
                reasons.push(Reason::NotLogged);
            }
            if reasons.contains(&Reason::NoRoom) || reasons.contains(&Reason::NotLogged) {
                arrival = Arrival::Unknown;
            }
        }
        _ => {}
    }
    let copies_are_sent = senders.values().any(|one| one.health != WorkerHealth::DryRun);
    let as_expected = match arrival {
        _ if reasons.iter().any(Reason::is_fault) => Some(false),
        Arrival::Refused { .. } => Some(false),
        Arrival::Original { .. } => Some(true),
        Arrival::Copy { .. } if senders.is_empty() => None,
        Arrival::Copy { .. } => Some(true),
        Arrival::Nothing if copies_are_sent && report.ready => Some(false),
        Arrival::Nothing | Arrival::Unknown => None,
    };
    NodeResult {
        node,
        arrival,
        as_expected,
        reasons,
    }
}

fn arrival(report: &NodeReport) -> Arrival {
    let Some(record) = &report.record else {
        return Arrival::Nothing;
    };
    if record.replicated > 0 {
        let copies = record.copies;
        return Arrival::Original { copies };
    }
    match record.refusal() {
        Some(refusal) => Arrival::Refused { refusal },
        None => Arrival::Copy {
            count: record.arrived_copies(),
        },
    }
}

/// The faults that a node reports of itself.
fn of_node(report: &NodeReport) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !report.ready {
        reasons.push(Reason::Starting);
    }
    match report.health {
        WorkerHealth::Off if report.ready => reasons.push(Reason::NotConfigured),
        WorkerHealth::Failed => reasons.push(Reason::WorkerFailed),
        WorkerHealth::DryRun => reasons.push(Reason::DryRun),
        WorkerHealth::Off | WorkerHealth::Ok | WorkerHealth::Degraded => {}
    }
    if report.missing_rules > 0 {
        let count = report.missing_rules;
        reasons.push(Reason::RulesMissing { count });
    }
    reasons.extend(report.findings.iter().map(|finding| Reason::Finding {
        code: finding.code,
        subject: finding.subject.clone(),
    }));
    reasons
}

/// Why the nodes that copied the packet sent no copy to `node`.
fn of_senders(node: IpAddr, senders: &BTreeMap<IpAddr, &NodeReport>, ipv6: bool) -> Vec<Reason> {
    let reasons = senders.iter().filter_map(|(by, sender)| {
        let by = *by;
        match sender.peers.get(&node) {
            // A broadcast needs no peers.
            None if sender.mode == Some(Mode::Broadcast) => None,
            None => Some(Reason::NotAPeer { by }),
            Some(state) if !state.is_reachable() || (ipv6 && *state == PeerState::Ipv4Only) => {
                Some(Reason::PeerState { by, state: *state })
            }
            Some(_) => None,
        }
    });
    reasons.collect()
}

/// The reasons for which the worker refused packets that it could not read since the report before.
fn unreadable(before: Option<&NodeReport>, after: &NodeReport) -> Vec<Reason> {
    let Some(before) = before else {
        return Vec::new();
    };
    let rose = after.refused.iter().filter_map(|(refusal, count)| {
        let earlier = before.refused.get(refusal).copied().unwrap_or(0);
        // A worker that was restarted counts from zero.
        let count = count.checked_sub(earlier).filter(|count| *count > 0)?;
        let refusal = *refusal;
        refusal
            .is_of_reading()
            .then_some(Reason::Unreadable { refusal, count })
    });
    rose.collect()
}
