//! Tests of the policies on a node.

use super::*;

const ALL: Learned = Learned {
    changed: true,
    reload: true,
    news: true,
};

fn object(name: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion": "netkeel.io/v1alpha1", "kind": "NetkeelPolicy",
        "metadata": {{"name": "{name}", "uid": "u-{name}", "generation": 2}}, "spec": {spec}}}"#
    )
}

fn forward(name: &str, value: u8, more: &str) -> String {
    let document = format!(r#"{{"version": 1, "sysctl": {{"net.ipv4.ip_forward": {value}}}}}"#);
    object(name, &format!(r#"{{"document": {document}{more}}}"#))
}

fn node() -> ClusterNode {
    ClusterNode {
        uid: "n-1".to_owned(),
        labels: BTreeMap::new(),
    }
}

#[test]
fn policies_hold_across_a_restart_until_a_complete_list_says_otherwise() {
    let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false, false);
    assert!(!policies.status().listed);
    assert_eq!(policies.learn(&[forward("a", 1, "")], node()), ALL);
    // Only the document counts for a reload.
    let paused = Learned { reload: false, ..ALL };
    assert_eq!(
        policies.learn(&[forward("a", 1, r#", "paused": true"#)], node()),
        paused
    );
    policies.learn(&[forward("a", 1, "")], node());
    assert_eq!(policies.learn(&[forward("a", 1, "")], node()), Learned::default());
    let again = Policies::new("n1".to_owned(), Ok(policies.to_keep()), false, false);
    assert_eq!(again.documents(), policies.documents());
    assert_eq!(again.documents().len(), 1);
    assert!(!again.status().listed);
    let mut again = again;
    assert_eq!(again.learn(&[], node()), ALL);
    assert_eq!(again.status().leaving, ["a"]);
    let third = Policies::new("n1".to_owned(), Ok(again.to_keep()), false, false);
    assert_eq!(third.status().leaving, ["a"]);
}

#[test]
fn a_file_that_cannot_be_read_is_not_a_node_without_policies() {
    let kept = KeptPolicies {
        in_force: vec![object("a", "{}"), forward("b", 1, "")],
        enforced: vec!["u-a".to_owned(), "u-b".to_owned()],
        leaving: Vec::new(),
        failed: Vec::new(),
    };
    let mut policies = Policies::new("n1".to_owned(), Ok(kept), false, false);
    let why = policies.unread.clone().unwrap();
    assert!(why.starts_with("a: spec.document"), "{why}");
    assert_eq!(policies.status().trouble, Some(why));
    // The others are known.
    assert_eq!(policies.documents().len(), 1);
    assert_eq!(policies.learn(&[], node()), ALL);
    assert_eq!(policies.unread, None);
    assert_eq!(policies.status().leaving, ["b"]);
}

#[test]
fn trouble_lasts_until_the_next_list_and_that_with_slots_is_shown() {
    let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false, true);
    policies.learn(&[forward("a", 1, "")], node());
    let news = |trouble: Option<&str>| SlotNews {
        trouble: trouble.map(str::to_owned),
        ..SlotNews::default()
    };
    policies.trouble = Some("no list".to_owned());
    assert!(policies.learn_slots(news(Some("no slots"))).chooses);
    policies.choose_again();
    let shown = |policies: &Policies| policies.status().trouble;
    assert_eq!(shown(&policies).as_deref(), Some("no list; no slots"));
    assert!(policies.learn(&[forward("a", 1, "")], node()).news);
    assert_eq!(shown(&policies).as_deref(), Some("no slots"));
    // One cause is shown once.
    policies.trouble = Some("no slots".to_owned());
    assert_eq!(shown(&policies).as_deref(), Some("no slots"));
    policies.trouble = None;
    policies.learn_slots(news(None));
    assert_eq!(shown(&policies), None);
}

#[test]
fn a_policy_that_observes_is_not_enforced() {
    let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false, false);
    let observe = forward("a", 1, r#", "mode": "observe""#);
    policies.learn(&[observe], node());
    assert_eq!((policies.documents().len(), policies.observing().count()), (0, 1));
    policies.observed.insert("a".to_owned(), Ok(3));
    assert_eq!(policies.status().in_force[0].drift, Some(3));
    policies.learn(&[forward("a", 1, "")], node());
    policies.loaded(false);
    assert_eq!(policies.status().in_force[0].drift, None);
    assert_eq!(policies.documents()[0].0, "policy a.json");
}

#[test]
fn a_policy_is_in_force_once_its_document_is_accepted() {
    let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false, false);
    let shown = |policies: &Policies| -> Vec<(String, i64, String)> {
        let in_force = policies.status().in_force.into_iter();
        in_force.map(|one| (one.name, one.generation, one.hash)).collect()
    };
    policies.learn(&[forward("a", 0, "")], node());
    assert_eq!(policies.chosen(), "a@2");
    assert_eq!(shown(&policies), []);
    policies.loaded(false);
    let accepted = shown(&policies);
    assert_eq!(accepted.len(), 1);
    // The document of the newer version is rejected: the older one is in force.
    policies.learn(&[forward("a", 1, "")], node());
    assert_eq!(shown(&policies), accepted);
    policies.loaded(false);
    assert_ne!(shown(&policies), accepted);
    // It is in force until the document without it is.
    policies.learn(&[], node());
    assert_eq!(shown(&policies).len(), 1);
    policies.loaded(false);
    assert_eq!(shown(&policies), []);
}

#[test]
fn nothing_is_pruned_while_the_policies_are_not_known() {
    let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), true, false);
    policies.loaded(true);
    assert!(policies.defers_prune(), "no list came yet");
    policies.learn(&[forward("a", 1, "")], node());
    assert!(policies.defers_prune(), "the document is not accepted yet");
    policies.loaded(true);
    assert!(!policies.defers_prune());
    policies.learn(
        &[forward("a", 1, ""), forward("b", 1, r#", "paused": true"#)],
        node(),
    );
    assert!(
        policies.defers_prune(),
        "another version of b may have been here before"
    );
    policies.learn(&[], node());
    policies.loaded(true);
    assert!(policies.defers_prune(), "a leaves");
    policies.choice.policies.leaving.clear();
    assert!(!policies.defers_prune());
}

#[test]
fn what_holds_a_policy_is_one_line() {
    let mut policies = Policies::new("n1".to_owned(), Ok(KeptPolicies::default()), false, false);
    let learned = policies.learn(&[forward("a", 1, ""), forward("b", 0, "")], node());
    assert_eq!(
        learned,
        Learned {
            news: true,
            ..Learned::default()
        }
    );
    let held = policies.status().held;
    let shown: Vec<_> = held
        .iter()
        .map(|one| format!("{} {}: {}", one.name, one.reason, one.why))
        .collect();
    assert_eq!(
        shown,
        [
            r#"a Conflict: sysctl."net.ipv4.ip_forward" is "1" here and "0" in the policy b"#,
            r#"b Conflict: sysctl."net.ipv4.ip_forward" is "0" here and "1" in the policy a"#
        ]
    );
}
