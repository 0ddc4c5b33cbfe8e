//! The state of replication: what the worker reports, and findings that it cannot know.

use std::net::IpAddr;

use crate::status::Status;
use netkeel_core::finding::Code;
use netkeel_core::replication::node_report::{FORMAT, NodeFinding, NodeReport};
use netkeel_core::replication::probe::Token;
use netkeel_core::replication::settings::Mode;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};

/// Whether a finding means that the kernel drops copies or packets for the worker.
fn drops(code: Code, ipip: bool) -> bool {
    match code {
        Code::NK039 | Code::NK062 => true,
        // A tunnel that drops what comes out of it.
        Code::NK009 => ipip,
        _ => false,
    }
}

/// Whether a finding means that packets are lost before the worker, or that it ignores them.
fn hides(code: Code) -> bool {
    matches!(code, Code::NK036 | Code::NK038)
}

impl Status {
    /// Takes the status of the worker. A worker that finds nothing wrong does not see what the kernel drops:
    /// findings about that degrade replication.
    pub fn set_worker(&mut self, worker: Option<WorkerStatus>) {
        let ipip = |worker: &WorkerStatus| {
            worker
                .settings
                .as_ref()
                .is_some_and(|settings| settings.mode == Mode::Ipip)
        };
        self.worker = worker.map(|mut worker| {
            let ipip = ipip(&worker);
            let found = self.findings.iter().find(|finding| drops(finding.code, ipip));
            if let (WorkerHealth::Ok | WorkerHealth::Degraded, Some(finding)) = (worker.health, found) {
                worker.health = WorkerHealth::Degraded;
                let why = format!("{} {}: {}", finding.code, finding.subject, finding.message);
                worker.error = Some(
                    worker
                        .error
                        .map_or(why.clone(), |error| format!("{error}; {why}")),
                );
            }
            worker
        });
    }

    /// The report for the sender of a probe with this token, on the worker's view of these peers.
    pub fn node_report(&self, token: Token, peers: &[IpAddr]) -> NodeReport {
        let worker = self.worker.as_ref();
        let mode = worker.and_then(|worker| Some(worker.settings.as_ref()?.mode));
        let statistics = worker.and_then(|worker| worker.statistics.as_ref());
        let ipip = mode == Some(Mode::Ipip);
        let findings = self.findings.iter();
        let findings = findings.filter(|finding| drops(finding.code, ipip) || hides(finding.code));
        let states = statistics.map(|found| found.peers.iter()).into_iter().flatten();
        let states = states.filter(|peer| peers.contains(&peer.address));
        NodeReport {
            format: FORMAT,
            ready: self.ready,
            health: worker.map_or(WorkerHealth::Off, |worker| worker.health),
            mode,
            record: statistics
                .and_then(|found| found.probes.iter().find(|record| record.token == token))
                .cloned(),
            full: statistics.is_some_and(|found| found.probes_full),
            refused: statistics.map(|found| found.refused.clone()).unwrap_or_default(),
            missing_rules: self.drift_by_kind().get("nflog").copied().unwrap_or_default(),
            findings: findings
                .map(|finding| NodeFinding {
                    code: finding.code,
                    subject: finding.subject.clone(),
                })
                .collect(),
            peers: states.map(|peer| (peer.address, peer.state)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::FindingStatus;
    use netkeel_core::replication::probe::ProbeRecord;
    use netkeel_core::replication::statistics::{PeerState, PeerStatistics, Statistics};

    fn worker(health: WorkerHealth) -> WorkerStatus {
        WorkerStatus {
            health,
            pid: None,
            uid: None,
            restarts: 0,
            error: None,
            settings: None,
            statistics: None,
        }
    }

    #[test]
    fn replication_whose_copies_are_dropped_is_not_ok() {
        let mut status = Status::new("enforce", None, 0, 1);
        let health = |status: &mut Status, health| {
            status.set_worker(Some(worker(health)));
            let worker = status.worker.clone().unwrap();
            (worker.health, worker.error)
        };
        assert_eq!(health(&mut status, WorkerHealth::Ok), (WorkerHealth::Ok, None));
        status.findings.push(FindingStatus {
            code: Code::NK039,
            subject: "eth1".into(),
            message: "copies are dropped".into(),
        });
        let why = Some("NK039 eth1: copies are dropped".to_owned());
        assert_eq!(
            health(&mut status, WorkerHealth::Ok),
            (WorkerHealth::Degraded, why)
        );
        // A worker that sends nothing is worse.
        assert_eq!(
            health(&mut status, WorkerHealth::Failed),
            (WorkerHealth::Failed, None)
        );
        status.findings[0].code = Code::NK009;
        assert_eq!(health(&mut status, WorkerHealth::Ok), (WorkerHealth::Ok, None));
    }

    #[test]
    fn a_node_reports_the_record_of_a_token_and_only_the_peers_in_the_question() {
        let mut status = Status::new("enforce", None, 0, 1);
        let report = status.node_report(Token(1), &[]);
        assert_eq!((report.health, report.record), (WorkerHealth::Off, None));
        let peer = |address: &str| PeerStatistics {
            address: address.parse().unwrap(),
            state: PeerState::Ready,
            sent: 0,
            failed: 0,
        };
        let statistics = Statistics {
            peers: vec![peer("192.0.2.1"), peer("192.0.2.2")],
            probes: vec![ProbeRecord::new(Token(1)), ProbeRecord::new(Token(2))],
            ..Statistics::default()
        };
        status.set_worker(Some(WorkerStatus {
            statistics: Some(statistics),
            ..worker(WorkerHealth::Ok)
        }));
        for (code, subject) in [(Code::NK038, "nflog.a.ignore_sources"), (Code::NK009, "ipip0")] {
            status.findings.push(FindingStatus {
                code,
                subject: subject.into(),
                message: String::new(),
            });
        }
        let (first, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.9".parse().unwrap());
        let report = status.node_report(Token(2), &[first, other]);
        assert_eq!(report.record, Some(ProbeRecord::new(Token(2))));
        assert_eq!(report.peers.keys().collect::<Vec<_>>(), [&first]);
        // A tunnel's filter matters to `mode: ipip` only.
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Code::NK038]);
        assert_eq!(status.node_report(Token(3), &[]).record, None);
    }
}
