//! Tests of the changes of policies, as the policies of a node have them.

use std::collections::BTreeMap;

use crate::state::change_end::covered;
use crate::state::policies::Policies;
use netkeel_apply::store::kept::policies::KeptPolicies;
use netkeel_core::cluster_policies::ClusterNode;
use netkeel_document::policy::slots::Phase;
use netkeel_document::policy::wish::{SlotNews, SlotState};
use netkeel_plan::goal::part::Extent;

const PROBES: &str = r#", "confirm": {"probes": [{"path_mtu": "192.0.2.1"}]}"#;

fn forward(value: u8, generation: u8, more: &str) -> String {
    format!(
        r#"{{"apiVersion": "netkeel.io/v1alpha1", "kind": "NetkeelPolicy",
        "metadata": {{"name": "a", "uid": "u-a", "generation": {generation}}},
        "spec": {{"document": {{"version": 1, "sysctl": {{"net.ipv4.ip_forward": {value}}}}}{more}}}}}"#
    )
}

fn node() -> ClusterNode {
    ClusterNode {
        uid: "n-1".to_owned(),
        labels: BTreeMap::new(),
    }
}

fn paced(kept: KeptPolicies) -> Policies {
    Policies::new("n1".to_owned(), Ok(kept), false, true)
}

/// The policy in force, why it is held, and the phase that the node wants others to see.
fn shown(policies: &Policies) -> (Vec<String>, Vec<String>, Vec<Phase>) {
    let status = policies.status();
    let held = status
        .held
        .iter()
        .map(|one| format!("{}: {}", one.reason, one.why));
    let wishes = policies.wishes(true).unwrap().slots.into_values();
    let value = |text: &[u8]| {
        String::from_utf8_lossy(text)
            .split_once("ip_forward\":\"")
            .unwrap()
            .1[..1]
            .to_owned()
    };
    let documents = policies.documents();
    let in_force = documents.iter().map(|(_, text)| value(text));
    (
        in_force.collect(),
        held.collect(),
        wishes.map(|wish| wish.phase).collect(),
    )
}

/// The server has the slot as the node wants it.
fn granted(policies: &mut Policies) -> usize {
    let wishes = policies.wishes(true).unwrap().slots.into_iter();
    let states = wishes.map(|(uid, wish)| {
        let state = SlotState::Held {
            document: wish.document,
            phase: wish.phase,
            failed: None,
        };
        (uid, state)
    });
    let news = SlotNews {
        states: states.collect(),
        trouble: None,
    };
    let asked = policies.learn_slots(news).ask.len();
    policies.choose_again();
    asked
}

#[test]
fn a_change_takes_a_slot_asks_its_probes_begins_and_holds() {
    let mut policies = paced(KeptPolicies::default());
    policies.learn(&[forward(1, 1, PROBES)], node());
    let waits = |why: &str| vec![format!("Waiting: {why}")];
    assert_eq!(
        shown(&policies),
        (vec![], waits("the node has no slot yet"), vec![Phase::Taken])
    );
    let why = "other nodes change; at most 1 may".to_owned();
    let news = SlotNews {
        states: BTreeMap::from([("u-a".to_owned(), SlotState::Waiting(why.clone()))]),
        trouble: None,
    };
    assert!(policies.learn_slots(news).chooses);
    policies.choose_again();
    assert_eq!(shown(&policies), (vec![], waits(&why), vec![Phase::Taken]));
    assert_eq!(granted(&mut policies), 1, "its probes are asked");
    assert_eq!(
        shown(&policies),
        (vec![], waits("its probes are asked"), vec![Phase::Taken])
    );
    let hash = policies.choice.changes["u-a"].hash.clone();
    let probes = policies.choice.changes["u-a"].confirm.clone();
    assert!(!policies.changes.asked("u-a", "another document", probes.clone()));
    assert!(policies.changes.asked("u-a", &hash, probes.clone()));
    // The server knows that the node begins before anything is written.
    assert_eq!(shown(&policies).2, [Phase::Begun]);
    assert_eq!(shown(&policies).0, [""; 0]);
    granted(&mut policies);
    assert_eq!(
        shown(&policies),
        (vec!["1".to_owned()], vec![], vec![Phase::Begun])
    );
    // Nothing is confirmed before its document is loaded, and it is not reported as in force before it holds.
    assert_eq!((policies.confirm(), policies.hold_changes().len()), (vec![], 0));
    policies.loaded(false);
    assert_eq!(policies.confirm(), probes);
    assert_eq!(policies.status().in_force.len(), 0);
    // After a crash the node has not made the change, and what it wrote is released.
    let kept = policies.to_keep();
    assert_eq!((kept.in_force.len(), kept.leaving.len()), (0, 1));
    assert_eq!(policies.hold_changes(), ["a"]);
    policies.choose_again();
    assert_eq!(shown(&policies), (vec!["1".to_owned()], vec![], vec![]));
    assert_eq!(
        (policies.status().in_force.len(), policies.confirm().len()),
        (1, 0)
    );
    assert_eq!(policies.to_keep().in_force.len(), 1);
}

/// A node on which a change from 0 to 1 is applied.
fn applying() -> Policies {
    let mut policies = paced(KeptPolicies::default());
    for (value, generation) in [(0, 1), (1, 2)] {
        policies.learn(&[forward(value, generation, "")], node());
        granted(&mut policies);
        granted(&mut policies);
        policies.loaded(false);
        if value == 0 {
            policies.hold_changes();
            policies.choose_again();
        }
    }
    assert_eq!(shown(&policies).0, ["1"]);
    policies
}

#[test]
fn a_change_that_fails_brings_the_version_before_back_and_keeps_its_slot() {
    let mut policies = applying();
    let before = policies.status().in_force[0].hash.clone();
    let kept = policies.to_keep().in_force;
    assert!(kept[0].contains("ip_forward\":\"0"), "{kept:?}");
    let tries: Vec<bool> = (0..3).map(|_| policies.tries_again()).collect();
    assert_eq!(tries, [true, true, false]);
    assert_eq!(policies.fail_changes("no\nmore"), ["a"]);
    assert!(!policies.tries_again(), "no change is applied");
    policies.choose_again();
    let failed = (
        vec!["0".to_owned()],
        vec!["RolledBack: no".to_owned()],
        vec![Phase::Failed],
    );
    assert_eq!(shown(&policies), failed);
    policies.loaded(false);
    assert_eq!(policies.status().in_force[0].hash, before);
    assert_eq!(policies.fail_changes("again"), [""; 0]);
    // Also after a restart: it is not tried again, and others see that it failed.
    let mut again = paced(policies.to_keep());
    again.learn(&[forward(1, 2, "")], node());
    assert_eq!(shown(&again), failed);
    assert!(granted(&mut again) == 0 && shown(&again) == failed);
    // An edit tries again, and so does another document; a policy that goes gives the slot back.
    again.learn(&[forward(1, 3, "")], node());
    assert_eq!(shown(&again).2, [Phase::Taken]);
    let mut gone = paced(policies.to_keep());
    gone.learn(&[], node());
    assert_eq!(shown(&gone).2, []);
    assert_eq!(gone.to_keep().failed, []);
}

#[test]
fn a_node_whose_change_failed_keeps_its_slot_until_somebody_edits_or_deletes_the_policy() {
    let mut policies = applying();
    policies.fail_changes("no");
    policies.choose_again();
    let failed = |policies: &Policies| {
        let wishes = policies.wishes(true).unwrap().slots;
        let phases = wishes.into_iter().map(|(uid, wish)| (uid, wish.phase));
        phases
            .filter(|(uid, _)| uid == "u-a")
            .map(|(_, phase)| phase)
            .next()
    };
    let other = forward(0, 1, "").replace("\"a\"", "\"b\"").replace("u-a", "u-b");
    let unreadable = forward(1, 2, r#", "future": 1"#);
    let elsewhere = forward(1, 2, r#", "nodeSelector": {"matchLabels": {"role": "no"}}"#);
    let paused = forward(1, 2, r#", "paused": true"#);
    for (name, listed) in [
        ("a conflict", vec![forward(1, 2, ""), other]),
        ("unreadable", vec![unreadable]),
        ("not selected", vec![elsewhere]),
        ("paused", vec![paused]),
    ] {
        policies.learn(&listed, node());
        assert_eq!(failed(&policies), Some(Phase::Failed), "{name}");
        let mut again = paced(policies.to_keep());
        again.learn(&listed, node());
        assert_eq!(failed(&again), Some(Phase::Failed), "{name}, after a restart");
    }
    for (name, listed) in [("an edit", vec![forward(1, 3, "")]), ("gone", vec![])] {
        let mut again = paced(policies.to_keep());
        again.learn(&listed, node());
        assert_ne!(failed(&again), Some(Phase::Failed), "{name}");
    }
}

#[test]
fn a_failure_that_was_not_kept_is_that_of_the_server() {
    let mut policies = paced(KeptPolicies::default());
    policies.learn(&[forward(1, 2, "")], node());
    let document = policies.choice.changes["u-a"].hash.clone();
    let state = SlotState::Held {
        document,
        phase: Phase::Failed,
        failed: Some("no".to_owned()),
    };
    let news = SlotNews {
        states: BTreeMap::from([("u-a".to_owned(), state)]),
        trouble: None,
    };
    let next = policies.learn_slots(news);
    assert!(next.chooses && next.wishes && next.keeps && next.ask.is_empty());
    policies.choose_again();
    let failed = (vec![], vec!["RolledBack: no".to_owned()], vec![Phase::Failed]);
    assert_eq!(shown(&policies), failed);
    assert_eq!(policies.to_keep().failed.len(), 1);
}

#[test]
fn what_a_failed_change_wrote_is_released_if_there_is_no_version_before() {
    for (wrote, leaving) in [(false, vec![]), (true, vec!["a".to_owned()])] {
        let mut policies = paced(KeptPolicies::default());
        policies.learn(&[forward(1, 1, "")], node());
        granted(&mut policies);
        granted(&mut policies);
        policies.loaded(false);
        assert!(policies.is_changing());
        if wrote {
            policies.changes.wrote();
        }
        assert_eq!(policies.fail_changes("a fact could not be read"), ["a"]);
        policies.choose_again();
        assert_eq!(policies.status().leaving, leaving);
        let (in_force, held, wishes) = shown(&policies);
        assert_eq!((in_force.len(), wishes), (0, vec![Phase::Failed]));
        assert_eq!(held, ["RolledBack: a fact could not be read"]);
    }
}

#[test]
fn only_a_pass_over_the_whole_host_is_for_a_change() {
    let mut policies = applying();
    let links = || Extent::Links([3].into());
    assert_eq!(covered(links(), &policies.changing()), Extent::All);
    policies.hold_changes();
    assert_eq!(covered(links(), &policies.changing()), links());
}

#[test]
fn a_change_that_cannot_start_fails_after_minutes() {
    let seconds = std::time::Duration::from_secs;
    let mut policies = applying();
    assert!(policies.is_changing());
    assert!(!policies.is_blocked_too_long(seconds(10)));
    assert!(!policies.is_blocked_too_long(seconds(309)));
    policies.changes.goes_on();
    assert!(!policies.is_blocked_too_long(seconds(320)));
    assert!(policies.is_blocked_too_long(seconds(620)));
    policies.fail_changes("30 writes are more than limits.changes_per_minute allows now: 20");
    // Without a change nobody counts.
    assert!(!policies.is_changing() && !policies.is_blocked_too_long(seconds(9999)));
}

#[test]
fn an_edit_in_between_waits_for_the_end_of_the_change() {
    let mut policies = applying();
    policies.learn(&[forward(0, 3, PROBES)], node());
    let (in_force, held, wishes) = shown(&policies);
    assert_eq!((in_force, wishes), (vec!["1".to_owned()], vec![Phase::Begun]));
    assert_eq!(held, ["Waiting: an older change is not done"]);
    policies.hold_changes();
    policies.choose_again();
    assert_eq!(shown(&policies).2, [Phase::Taken]);
    assert_eq!(granted(&mut policies), 1);
    // The slot is lost before anything was begun.
    let lost = SlotNews {
        states: BTreeMap::from([("u-a".to_owned(), SlotState::Waiting("another node".to_owned()))]),
        trouble: None,
    };
    assert!(policies.learn_slots(lost).wishes);
    policies.choose_again();
    assert_eq!(shown(&policies).1, ["Waiting: another node"]);
    // And an edit before anything was begun drops the change.
    granted(&mut policies);
    policies.learn(&[forward(1, 4, "")], node());
    assert_eq!(shown(&policies), (vec!["1".to_owned()], vec![], vec![]));
}

#[test]
fn an_agent_that_does_not_write_wants_no_slot_but_that_of_a_change_that_it_began() {
    let mut policies = paced(KeptPolicies::default());
    policies.learn(&[forward(1, 1, "")], node());
    assert_eq!(policies.wishes(false).unwrap().slots.len(), 0);
    granted(&mut policies);
    assert_eq!(policies.wishes(false).unwrap().slots.len(), 0);
    granted(&mut policies);
    assert_eq!(policies.wishes(false).unwrap().slots.len(), 1);
    // One that only observes changes nothing.
    let mut observes = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false, false);
    observes.learn(&[forward(1, 1, "")], node());
    assert_eq!(shown(&observes), (vec!["1".to_owned()], vec![], vec![]));
}
