//! Tests of the metrics text.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::metrics::text;
use crate::templates::TEMPLATES;
use netkeel_core::probe::{Outcome, ProbeResult};
use netkeel_core::replication::refusal::Refusal;
use netkeel_core::replication::statistics::{PeerState, PeerStatistics, Statistics};
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};
use netkeel_reconcile::status::doctor::{CauseStatus, SignStatus, Window};
use netkeel_reconcile::status::handshake::HandshakeStatus;
use netkeel_reconcile::status::mtus::MtuStatus;
use netkeel_reconcile::status::probes::ProbeStatus;
use netkeel_reconcile::status::{FindingStatus, Status};

/// A status with a value for every metric.
fn filled() -> Status {
    let mut status = Status::new("enforce", None, 7, 1);
    status.took(Duration::from_millis(2));
    status.took(Duration::from_secs(60));
    let mtu = MtuStatus {
        index: 3,
        class: Some("veth".into()),
        observed: 1500,
        desired: 1460,
        rule: "link.eth".into(),
        named: true,
    };
    status.mtus.insert("a\"b\\c".parse().unwrap(), mtu);
    let pod = MtuStatus {
        index: 9,
        class: Some("veth".into()),
        observed: 1500,
        desired: 1400,
        rule: "link.pods".into(),
        named: false,
    };
    status.mtus.insert("cali1".parse().unwrap(), pod);
    status.underlay = Some(("eth0".parse().unwrap(), 1500));
    status.findings.push(FindingStatus {
        code: netkeel_core::finding::Code::NK001,
        subject: "eth0".into(),
        message: "a finding".into(),
    });
    status.handshakes.push(HandshakeStatus {
        interface: "wg0".into(),
        last: None,
        stale: None,
    });
    let window = Window {
        ms: 300_000,
        causes: vec![(
            CauseStatus {
                cause: "qdisc-full",
                grounds: "counted",
            },
            40,
        )],
        signs: [SignStatus {
            sign: "sndbuf-errors",
            severity: netkeel_core::finding::Severity::Warning,
        }]
        .into(),
        unexplained: 3,
        unread: 1,
    };
    status.doctor.add(&window, 900);
    status.probes.push(ProbeStatus {
        name: "database".parse().unwrap(),
        at: Some(7),
        result: Some(ProbeResult {
            outcome: Outcome::BlackHole { mtu: 1400 },
            as_expected: Some(false),
        }),
    });
    let peer = |address: &str, state| PeerStatistics {
        address: address.parse().unwrap(),
        state,
        sent: 0,
        failed: 0,
    };
    let mut statistics = Statistics {
        received: 9,
        refused: BTreeMap::from([(Refusal::ALL[0], 2)]),
        peers: vec![
            peer("192.0.2.1", PeerState::Itself),
            peer("192.0.2.2", PeerState::Ready),
            peer("192.0.2.3", PeerState::Router),
            peer("192.0.2.4", PeerState::NoRoute),
        ],
        ..Statistics::default()
    };
    statistics.latency.count(Duration::from_micros(20), 1);
    status.worker = Some(WorkerStatus {
        health: WorkerHealth::Degraded,
        pid: None,
        uid: None,
        restarts: 1,
        error: None,
        settings: None,
        statistics: Some(statistics),
    });
    status
}

/// The names of the samples. Each has to follow the description of its metric.
fn names(text: &str) -> BTreeSet<&str> {
    let (mut described, mut names) = ("", BTreeSet::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(help.ends_with('.') && !help.ends_with(".."), "{line}");
            described = name;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert_eq!(kind.split(' ').next(), Some(described), "{line}");
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with(described) && !described.is_empty(), "{line}");
            names.insert(name);
        }
    }
    names
}

#[test]
fn every_sample_has_a_description_and_labels_are_escaped() {
    let text = text(filled());
    names(&text);
    for line in [
        "# TYPE netkeel_build_info gauge",
        "# TYPE netkeel_applies_total counter",
        "netkeel_interface_mtu_bytes{device=\"a\\\"b\\\\c\"} 1500",
        "netkeel_interface_mtu_desired_bytes{device=\"a\\\"b\\\\c\"} 1460",
        "netkeel_interfaces{class=\"veth\",rule=\"link.eth\",mtu=\"1500\",desired=\"1460\"} 1",
        "netkeel_interfaces{class=\"veth\",rule=\"link.pods\",mtu=\"1500\",desired=\"1400\"} 1",
        "netkeel_interfaces_differing{class=\"veth\",rule=\"link.pods\"} 1",
        "netkeel_stale_pods 0",
        "netkeel_probe_state{probe=\"database\",state=\"failed\"} 1",
        "netkeel_probe_state{probe=\"database\",state=\"ok\"} 0",
        "netkeel_probe_measured_bytes{probe=\"database\"} 1400",
        "netkeel_probe_last_timestamp_seconds{probe=\"database\"} 7",
        "netkeel_unreachable_pods 0",
        "netkeel_pass_duration_seconds_bucket{le=\"0.0025\"} 1",
        "netkeel_pass_duration_seconds_bucket{le=\"10\"} 1",
        "netkeel_pass_duration_seconds_bucket{le=\"+Inf\"} 2",
        "netkeel_pass_duration_seconds_sum 60.002",
        "netkeel_pass_duration_seconds_count 2",
        "netkeel_drift_facts{kind=\"link\"} 0",
        "netkeel_suspended_facts{reason=\"flaps\"} 0",
        "netkeel_healthy 0",
        "netkeel_doctor_cause{cause=\"qdisc-full\",grounds=\"counted\"} 1",
        "netkeel_doctor_sign{sign=\"sndbuf-errors\",severity=\"warning\"} 1",
        "netkeel_doctor_lost_total{cause=\"qdisc-full\"} 40",
        "netkeel_doctor_unexplained_total 3",
        "netkeel_doctor_window_seconds 300.0",
        "netkeel_replication_health{health=\"degraded\"} 1",
        "netkeel_replication_health{health=\"ok\"} 0",
        "netkeel_replication_peers{state=\"reachable\"} 2",
        "netkeel_replication_peers{state=\"unreachable\"} 1",
        "netkeel_replication_latency_seconds_bucket{le=\"2.5e-05\"} 1",
        "netkeel_replication_latency_seconds_count 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[test]
fn an_interface_that_a_match_finds_has_series_only_where_that_is_asked_for() {
    let mut status = filled();
    let series = "netkeel_interface_mtu_bytes{device=\"cali1\"} 1500";
    assert!(!text(status.clone()).contains(series));
    status.metrics_per_interface = true;
    assert!(text(status).contains(series));
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let text = text(filled());
    let names = names(&text);
    let of_prometheus = |name: &str| name.ends_with(".yaml") || name.ends_with(".json");
    let mut asked = 0;
    for template in TEMPLATES.iter().filter(|template| of_prometheus(template.name)) {
        let words = template
            .text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("netkeel_")) {
            assert!(names.contains(name), "{} asks for {name}", template.name);
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked}");
}

#[test]
fn nothing_is_written_twice() {
    let text = text(filled());
    let mut described = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
        let name = line.split(' ').nth(2);
        assert!(described.insert(name), "{line}");
    }
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let series: BTreeSet<&str> = samples
        .iter()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect();
    assert_eq!(series.len(), samples.len());
}
