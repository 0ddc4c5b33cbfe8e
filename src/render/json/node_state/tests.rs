//! Tests of the status of a node's object.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use netkeel_core::fact::{Fact, Field};
use netkeel_core::finding::Code;
use netkeel_core::name::netns::Netns;
use netkeel_core::value::Value as FactValue;
use netkeel_document::want::Origin;
use netkeel_plan::goal::part::Extent;
use netkeel_plan::goal::planned::Observation;
use netkeel_plan::plan::Drift;
use netkeel_reconcile::status::FindingStatus;
use netkeel_reconcile::status::PauseStatus;
use netkeel_reconcile::status::last_apply::LastApply;
use netkeel_reconcile::status::mtus::MtuStatus;
use netkeel_reconcile::status::policies::HeldStatus;
use netkeel_source::node::Node;
use netkeel_source::sources::Sources;

fn status(differ: usize) -> Status {
    let mut status = Status::new("enforce", None, 7, 1);
    status.looked = true;
    let drift = (0..differ).map(|number| Drift {
        fact: Fact::link(
            &Netns::CURRENT,
            format!("cali{number}").parse().unwrap(),
            Field::Mtu,
        ),
        observed: Some(FactValue::Number(1500)),
        desired: Some(FactValue::Number(1440)),
        origin: Origin::default().into(),
        cause: None,
    });
    let seen = Observation {
        drift: drift.collect(),
        ..Observation::default()
    };
    status.saw(&Extent::All, &seen, &|_| false, false, &|_| None);
    status
}

fn policies() -> PoliciesStatus {
    PoliciesStatus {
        node: "n1".to_owned(),
        listed: true,
        in_force: vec![PolicyStatus {
            name: "pods".to_owned(),
            generation: 3,
            hash: "ab12".to_owned(),
            mode: "enforce",
            drift: None,
            failure: None,
        }],
        ..PoliciesStatus::default()
    }
}

/// The conditions, each as `TYPE=STATUS REASON: MESSAGE`.
fn conditions(status: &Status, policies: &PoliciesStatus) -> Vec<String> {
    let state = node_state(status, policies);
    let text = |condition: &Value, key: &str| condition[key].as_str().unwrap().to_owned();
    let conditions = state["conditions"].as_array().unwrap().iter();
    let shown = conditions.map(|one| {
        let [kind, status, reason, message] =
            ["type", "status", "reason", "message"].map(|key| text(one, key));
        assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
        assert!(reason.chars().all(char::is_alphanumeric) && !reason.is_empty());
        format!("{kind}={status} {reason}: {message}")
    });
    shown.collect()
}

#[test]
fn every_condition_has_a_reason_and_a_message() {
    assert_eq!(
        conditions(&status(0), &policies()),
        [
            "InSync=True InSync: every declared fact is as declared",
            "Applied=True InForce: policies in force: 1",
            "Degraded=False Healthy: the agent works",
            "Paused=False NotPaused: the agent writes",
        ]
    );
    let mut new = Status::new("observe", None, 7, 1);
    assert_eq!(
        conditions(&new, &PoliciesStatus::default()),
        [
            "InSync=Unknown NoFullScan: the first full scan has not finished",
            "Applied=Unknown NoFullScan: the first full scan has not finished",
            "Degraded=Unknown NoFullScan: the first full scan has not finished",
            "Paused=True Observing: the agent runs with --mode observe",
        ]
    );
    new.failure = Some("no\nmore".to_owned());
    assert_eq!(conditions(&new, &policies())[2], "Degraded=True Unhealthy: no");
}

#[test]
fn drift_conflicts_and_a_pause_are_told() {
    let mut status = status(30);
    status.paused = Some(PauseStatus {
        until: 0,
        since: 0,
        by: "root".to_owned(),
        reason: Some("upgrade".to_owned()),
    });
    let mut policies = policies();
    for (name, reason, why) in [
        ("a", "Paused", "it is paused"),
        ("b", "Conflict", "link.pods.mtu is 1 here and 2 in the policy c"),
    ] {
        policies.held.push(HeldStatus {
            name: name.to_owned(),
            reason,
            why: why.to_owned(),
        });
    }
    let found = conditions(&status, &policies);
    assert_eq!(found[0], "InSync=False Drift: 30 facts differ");
    assert_eq!(
        found[1],
        "Applied=False Conflict: b: link.pods.mtu is 1 here and 2 in the policy c"
    );
    assert_eq!(
        found[3],
        "Paused=True PausedByUser: until 1970-01-01 00:00:00 UTC by root: upgrade"
    );
    let state = node_state(&status, &policies);
    assert_eq!(
        (&state["drift"]["facts"], &state["drift"]["objects"]),
        (&json!(30), &json!(30))
    );
    assert_eq!(state["drift"]["entries"].as_array().unwrap().len(), 20);
    policies.held.clear();
    policies.leaving.push("old".to_owned());
    assert!(conditions(&status, &policies)[1].starts_with("Applied=False Releasing"));
    status.document.rejected = Some("invalid\nlink.pods: ...".to_owned());
    assert_eq!(
        conditions(&status, &policies)[1],
        "Applied=False DocumentRejected: invalid"
    );
}

#[test]
fn nothing_is_applied_before_a_scan_or_while_nothing_is_written() {
    let applied = |status: &Status, policies: &PoliciesStatus| conditions(status, policies)[1].clone();
    let mut waiting = status(0);
    waiting.looked = false;
    assert!(applied(&waiting, &policies()).starts_with("Applied=Unknown NoFullScan"));
    let mut observing = status(0);
    observing.mode = "observe";
    assert!(applied(&observing, &policies()).starts_with("Applied=False Observing"));
    let mut paused = status(0);
    paused.paused = Some(PauseStatus {
        until: 0,
        since: 0,
        by: "root".to_owned(),
        reason: None,
    });
    assert!(applied(&paused, &policies()).starts_with("Applied=False Paused"));
    // A policy that only observes needs no writes.
    let mut observed = policies();
    observed.in_force[0].mode = "observe";
    assert!(applied(&paused, &observed).starts_with("Applied=True InForce"));
}

#[test]
fn a_node_with_skipped_pods_or_without_a_document_is_not_in_sync() {
    let in_sync = |status: &Status| conditions(status, &policies())[0].clone();
    let name = "cali1".parse().unwrap();
    let skipped = |stale: bool| {
        let mut seen = Observation {
            links: BTreeMap::from([(name, 9)]),
            ..Observation::default()
        };
        match stale {
            true => drop(seen.stale.insert(name, true)),
            false => drop(seen.unreachable.insert(name)),
        }
        let mut status = status(0);
        status.saw(&Extent::All, &seen, &|_| false, true, &|_| None);
        status
    };
    for stale in [true, false] {
        assert_eq!(
            in_sync(&skipped(stale)),
            "InSync=False PodsSkipped: veths into pods that are not set as declared: 1"
        );
    }
    let mut idle = status(0);
    (idle.looked, idle.idle) = (false, true);
    assert!(in_sync(&idle).starts_with("InSync=True"));
    idle.document.rejected = Some("invalid".to_owned());
    assert_eq!(in_sync(&idle), "InSync=Unknown DocumentRejected: invalid");
}

#[test]
fn the_subject_of_a_finding_has_a_limit() {
    let mut status = status(0);
    status.findings.push(FindingStatus {
        code: Code::NK001,
        subject: "eth0, ".repeat(1000),
        message: "a finding".into(),
    });
    let state = node_state(&status, &policies());
    let object = state["findings"][0]["object"].as_str().unwrap();
    assert!(
        object.chars().count() <= LONGEST + 3 && object.ends_with("..."),
        "{object}"
    );
}

/// A status with a value for every field.
fn full() -> Value {
    let mut status = status(1);
    status.mtus.insert(
        "cali1".parse().unwrap(),
        MtuStatus {
            index: 9,
            class: Some("veth".into()),
            observed: 1440,
            desired: 1440,
            rule: "link.pods".into(),
            named: false,
        },
    );
    status.underlay = Some(("eth0".parse().unwrap(), 1500));
    status.findings.push(FindingStatus {
        code: Code::NK001,
        subject: "eth0".into(),
        message: "a finding".into(),
    });
    status.last_apply = Some(LastApply {
        id: "b7".to_owned(),
        time: 86_400,
        result: "RolledBack",
        writes: 0,
        undone: 2,
        message: Some("no".to_owned()),
    });
    let mut policies = policies();
    policies.in_force[0].drift = Some(1);
    node_state(&status, &policies)
}

#[test]
fn the_path_and_the_last_apply_are_shown() {
    let state = full();
    assert_eq!(state["path"], json!({ "podMTU": 1440, "underlayMTU": 1500 }));
    assert_eq!(state["lastApply"]["time"], "1970-01-02T00:00:00Z");
    assert_eq!(state["findings"], json!([{ "code": "NK001", "object": "eth0" }]));
    assert_eq!(
        node_state(&self::status(0), &PoliciesStatus::default()).get("path"),
        None
    );
}

fn load(text: &str) -> Node {
    let mut diagnostics = Default::default();
    let node = Sources::default().load("crd.yaml", text.into(), None, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    node.unwrap()
}

/// The paths of a schema, each with its type.
fn of_schema(node: &Node, path: &str, paths: &mut BTreeMap<String, String>) {
    paths.insert(
        path.to_owned(),
        node.get("type").unwrap().text().unwrap().to_owned(),
    );
    for entry in node.get("properties").map(Node::entries).unwrap_or_default() {
        of_schema(&entry.value, &format!("{path}.{}", entry.key), paths);
    }
    if let Some(items) = node.get("items") {
        of_schema(items, &format!("{path}[]"), paths);
    }
}

fn of_value(value: &Value, path: &str, paths: &mut BTreeMap<String, String>) {
    let kind = match value {
        Value::Null => panic!("{path} is null"),
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    paths.insert(path.to_owned(), kind.to_owned());
    for (key, value) in value.as_object().into_iter().flatten() {
        of_value(value, &format!("{path}.{key}"), paths);
    }
    for value in value.as_array().into_iter().flatten() {
        of_value(value, &format!("{path}[]"), paths);
    }
}

#[test]
fn the_definition_of_the_kind_has_these_fields_and_no_others() {
    let definition = load(include_str!(
        "../../../../kubernetes/chart/files/crds/netkeelnodes.yaml"
    ));
    let version = definition.get("spec").unwrap().get("versions").unwrap().items()[0].clone();
    let schema = version.get("schema").unwrap().get("openAPIV3Schema").unwrap();
    let schema = schema.get("properties").unwrap().get("status").unwrap().clone();
    let (mut declared, mut written) = (BTreeMap::new(), BTreeMap::new());
    of_schema(&schema, "status", &mut declared);
    // The writer of the object adds the time.
    declared.remove("status.conditions[].lastTransitionTime");
    of_value(&full(), "status", &mut written);
    assert_eq!(declared, written);
    let columns = version.get("additionalPrinterColumns").unwrap();
    let paths: BTreeSet<&str> = columns
        .items()
        .iter()
        .map(|column| column.get("jsonPath").unwrap().text().unwrap())
        .filter(|path| path.starts_with(".status") && !path.contains('['))
        .collect();
    assert!(!paths.is_empty());
    for path in paths {
        assert!(written.contains_key(&path[1..]), "{path}");
    }
}
