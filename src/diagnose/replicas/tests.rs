//! Tests of the judgement: each fault of a node gives its reason, and silence gives no verdict.

use std::collections::BTreeSet;

use super::*;
use netkeel_core::replication::node_report::{FORMAT, NodeFinding};
use netkeel_core::replication::probe::{ProbeRecord, Token};

/// The report of a node whose replication works and that got no packet.
fn report() -> NodeReport {
    NodeReport {
        format: FORMAT,
        ready: true,
        health: WorkerHealth::Ok,
        mode: Some(Mode::Unicast),
        record: None,
        full: false,
        refused: BTreeMap::new(),
        missing_rules: 0,
        findings: BTreeSet::new(),
        peers: BTreeMap::new(),
    }
}

fn node(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// The report of a node that copied the packet to the other two.
fn sender() -> NodeReport {
    let mut record = ProbeRecord::new(Token(1));
    (record.replicated, record.copies) = (1, 2);
    NodeReport {
        record: Some(record),
        peers: [2, 3].map(|last| (node(last), PeerState::Ready)).into(),
        ..report()
    }
}

fn refused(refusal: Refusal) -> NodeReport {
    let mut record = ProbeRecord::new(Token(1));
    record.refused.insert(refusal, 1);
    NodeReport {
        record: Some(record),
        ..report()
    }
}

fn judged(reports: [Result<NodeReport, &str>; 3]) -> (Verdict, Vec<NodeResult>) {
    let observed = (1..).zip(reports).map(|(last, after)| Observed {
        node: node(last),
        before: Some(report()),
        after: after.map_err(str::to_owned),
    });
    judge(&observed.collect::<Vec<_>>(), false)
}

/// The verdict and the third node's result where the first two do as they should.
fn third(after: NodeReport) -> (Verdict, Arrival, Vec<Reason>) {
    let (verdict, results) = judged([Ok(sender()), Ok(refused(Refusal::Replica)), Ok(after)]);
    for one in &results[..2] {
        assert_eq!((one.as_expected, one.reasons.len()), (Some(true), 0), "{one:?}");
    }
    (verdict, results[2].arrival, results[2].reasons.clone())
}

#[test]
fn a_copy_on_all_other_nodes_is_replicated() {
    let (verdict, arrival, reasons) = third(refused(Refusal::Replica));
    assert_eq!(verdict, Verdict::Replicated);
    assert_eq!((arrival, reasons), (Arrival::Copy { count: 1 }, Vec::new()));
}

#[test]
fn a_node_without_a_copy_has_the_reason_of_its_fault() {
    let finding = NodeFinding {
        code: Code::NK062,
        subject: "eth0".into(),
    };
    let faults = [
        (
            NodeReport {
                missing_rules: 2,
                ..report()
            },
            Reason::RulesMissing { count: 2 },
        ),
        (
            NodeReport {
                health: WorkerHealth::Failed,
                ..report()
            },
            Reason::WorkerFailed,
        ),
        (
            NodeReport {
                health: WorkerHealth::Off,
                ..report()
            },
            Reason::NotConfigured,
        ),
        (
            NodeReport {
                findings: [finding].into(),
                ..report()
            },
            Reason::Finding {
                code: Code::NK062,
                subject: "eth0".into(),
            },
        ),
    ];
    for (report, reason) in faults {
        assert_eq!(
            third(report),
            (Verdict::NotReplicated, Arrival::Nothing, vec![reason])
        );
    }
    // No fault is known: the copy did not arrive all the same.
    assert_eq!(
        third(report()),
        (Verdict::NotReplicated, Arrival::Nothing, Vec::new())
    );
}

#[test]
fn a_copy_that_the_kernel_drops_later_is_a_fault() {
    let mut copy = refused(Refusal::Replica);
    copy.findings.insert(NodeFinding {
        code: Code::NK039,
        subject: "eth0".into(),
    });
    let (verdict, arrival, _) = third(copy);
    assert_eq!(
        (verdict, arrival),
        (Verdict::NotReplicated, Arrival::Copy { count: 1 })
    );
}

#[test]
fn the_sender_knows_why_it_sent_no_copy() {
    let mut by = sender();
    by.peers.insert(node(3), PeerState::BehindRouter);
    let state = PeerState::BehindRouter;
    let (verdict, results) = judged([Ok(by.clone()), Ok(refused(Refusal::Replica)), Ok(report())]);
    assert_eq!(verdict, Verdict::NotReplicated);
    assert_eq!(results[2].reasons, [Reason::PeerState { by: node(1), state }]);
    by.peers.remove(&node(3));
    let (_, results) = judged([Ok(by.clone()), Ok(refused(Refusal::Replica)), Ok(report())]);
    assert_eq!(results[2].reasons, [Reason::NotAPeer { by: node(1) }]);
    by.mode = Some(Mode::Broadcast);
    let (_, results) = judged([Ok(by), Ok(refused(Refusal::Replica)), Ok(report())]);
    assert_eq!(
        (results[2].as_expected, results[2].reasons.len()),
        (Some(false), 0)
    );
}

#[test]
fn a_refused_packet_names_the_reason_and_blames_no_other_node() {
    let (verdict, results) = judged([Ok(refused(Refusal::BelowFloor)), Ok(report()), Ok(report())]);
    assert_eq!(verdict, Verdict::NotReplicated);
    let refusal = Refusal::BelowFloor;
    assert_eq!(results[0].arrival, Arrival::Refused { refusal });
    assert_eq!((results[1].as_expected, results[1].reasons.len()), (None, 0));
}

#[test]
fn a_node_that_cannot_be_asked_is_unknown() {
    let (verdict, results) = judged([Ok(sender()), Ok(refused(Refusal::Replica)), Err("timed out")]);
    assert_eq!(
        (verdict, results[2].arrival),
        (Verdict::Unknown, Arrival::Unknown)
    );
    // A sender that has no such peer knows that no copy went there.
    let mut by = sender();
    by.peers.remove(&node(3));
    let (verdict, results) = judged([Ok(by), Ok(refused(Refusal::Replica)), Err("timed out")]);
    assert_eq!(
        (verdict, results[2].arrival),
        (Verdict::NotReplicated, Arrival::Unknown)
    );
    // The packet may have gone to the node that does not answer.
    let (verdict, results) = judged([Err("timed out"), Ok(report()), Ok(report())]);
    assert_eq!(verdict, Verdict::Unknown);
    assert_eq!(results[1].as_expected, None);
    let (verdict, results) = judged([Err("timed out"), Ok(refused(Refusal::Replica)), Ok(report())]);
    assert_eq!(verdict, Verdict::Unknown);
    assert_eq!(results[1].reasons, [Reason::UnknownSender]);
    assert_eq!(judge(&[], false).0, Verdict::Unknown);
    let mut by_peer = refused(Refusal::Replica);
    by_peer.peers.insert(node(3), PeerState::Router);
    let (verdict, results) = judged([Ok(by_peer), Ok(report()), Ok(report())]);
    assert_eq!(verdict, Verdict::NotReplicated);
    assert_eq!(results[0].reasons, [Reason::TakenForCopy { peer: node(3) }]);
}

#[test]
fn a_packet_that_no_node_got_is_not_replicated() {
    let (verdict, results) = judged([Ok(report()), Ok(report()), Ok(report())]);
    assert_eq!(verdict, Verdict::NotReplicated);
    assert!(results.iter().all(|one| one.as_expected.is_none()));
    let mut truncated = report();
    truncated.refused.insert(Refusal::Truncated, 1);
    truncated.refused.insert(Refusal::SourceRate, 1);
    let (_, results) = judged([Ok(truncated), Ok(report()), Ok(report())]);
    let refusal = Refusal::Truncated;
    assert_eq!(results[0].reasons, [Reason::Unreadable { refusal, count: 1 }]);
}

#[test]
fn a_tunnel_and_a_full_record_hide_a_copy() {
    let tunnelled = NodeReport {
        mode: Some(Mode::Ipip),
        ..sender()
    };
    let (verdict, results) = judged([Ok(tunnelled), Ok(report()), Ok(report())]);
    assert_eq!(verdict, Verdict::Unknown);
    assert_eq!(
        (results[1].arrival, &results[1].reasons[..]),
        (Arrival::Unknown, &[Reason::NotLogged][..])
    );
    let full = NodeReport {
        full: true,
        ..report()
    };
    assert_eq!(
        third(full),
        (Verdict::Unknown, Arrival::Unknown, vec![Reason::NoRoom])
    );
}

#[test]
fn a_copy_that_is_copied_again_is_a_fault_of_both() {
    let (verdict, results) = judged([Ok(sender()), Ok(sender()), Ok(refused(Refusal::Replica))]);
    assert_eq!(verdict, Verdict::NotReplicated);
    assert!(
        results[..2]
            .iter()
            .all(|one| one.reasons == [Reason::CopiedTwice])
    );
}

#[test]
fn a_dry_run_sends_no_copies_that_others_could_miss() {
    let dry = NodeReport {
        health: WorkerHealth::DryRun,
        ..sender()
    };
    let (verdict, results) = judged([Ok(dry), Ok(report()), Ok(report())]);
    assert_eq!(verdict, Verdict::NotReplicated);
    assert_eq!(results[0].reasons, [Reason::DryRun]);
    assert_eq!(
        (results[1].as_expected, results[1].arrival),
        (None, Arrival::Nothing)
    );
}

#[test]
fn ipv6_needs_an_ipv6_address_of_the_peer() {
    let mut by = NodeReport {
        mode: Some(Mode::Ipip),
        ..sender()
    };
    by.peers = [2, 3].map(|last| (node(last), PeerState::Ipv4Only)).into();
    let observed = |after| Observed {
        node: node(3),
        before: None,
        after: Ok(after),
    };
    let first = Observed {
        node: node(1),
        ..observed(by)
    };
    let (_, results) = judge(&[first.clone(), observed(report())], true);
    let reason = Reason::PeerState {
        by: node(1),
        state: PeerState::Ipv4Only,
    };
    assert_eq!(results[1].reasons, [reason]);
    let (_, results) = judge(&[first, observed(report())], false);
    assert_eq!(results[1].reasons, [Reason::NotLogged]);
}
