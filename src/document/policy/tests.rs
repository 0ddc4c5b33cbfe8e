//! Tests of policies: reading, selection, and the choice of those in force.

use std::collections::BTreeMap;

use super::choice::{Choice, Held, NodeLabels, NodePolicies, choose};
use super::conflict::between;
use super::*;
use netkeel_source::testing::yaml;

fn text(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: netkeel.io/v1alpha1\nkind: NetkeelPolicy\nmetadata: {{ name: {name}, uid: u-{name}, generation: 1 }}\nspec: {spec}\n"
    )
}

fn policy(name: &str, spec: &str) -> Policy {
    let mut diagnostics = Diagnostics::default();
    let policy = Policy::read(&yaml(&text(name, spec)), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{:?}", diagnostics.list);
    policy.unwrap()
}

fn forward(name: &str, value: u8, more: &str) -> Policy {
    let document = format!("{{ version: 1, sysctl: {{ net.ipv4.ip_forward: {value} }} }}");
    policy(name, &format!("{{ document: {document}{more} }}"))
}

fn errors(spec: &str) -> Vec<String> {
    let mut diagnostics = Diagnostics::default();
    Policy::read(&yaml(&text("a", spec)), &mut diagnostics);
    diagnostics.list.iter().map(line).collect()
}

fn chosen(before: &NodePolicies, listed: &[Policy]) -> Choice {
    let listed: Vec<_> = listed.iter().cloned().map(Ok).collect();
    let labels = BTreeMap::from([("role".to_owned(), "edge".to_owned())]);
    let labels = NodeLabels {
        name: "n1",
        labels: &labels,
    };
    let conflict = |one: &Policy, other: &Policy| between(&one.document, &other.document, &other.name);
    choose(before, &listed, labels, &conflict, &|_| None)
}

/// The values in force, each with the name of its policy, and the names of the policies that leave.
fn shown(choice: &Choice) -> (Vec<String>, Vec<&str>) {
    let value = |policy: &Policy| {
        let sysctl = policy.document.get("sysctl").unwrap();
        sysctl.get("net.ipv4.ip_forward").unwrap().integer().unwrap()
    };
    let policies = &choice.policies;
    let in_force = policies.in_force.iter();
    let in_force = in_force
        .map(|(name, policy)| format!("{name}={}", value(policy)))
        .collect();
    let leaving = policies.leaving.values().map(|policy| &*policy.name);
    (in_force, leaving.collect())
}

#[test]
fn a_policy_keeps_what_it_says_as_json() {
    let one = policy(
        "a",
        "{ document: { version: 1, sysctl: { net.ipv4.ip_forward: 1 } }, paused: yes, mode: observe, deletionPolicy: keep, \
         rollout: { percent: 10 }, nodeSelector: { matchExpressions: [{ key: role, operator: Exists }] } }",
    );
    assert_eq!(
        (one.percent, one.paused, one.mode),
        (10, true, PolicyMode::Observe)
    );
    let again = Policy::from_json(&one.object).unwrap();
    assert_eq!((&again.object, &again.hash), (&one.object, &one.hash));
    assert_eq!(
        (again.deletion, &again.selector),
        (DeletionPolicy::Keep, &one.selector)
    );
}

#[test]
fn an_error_of_a_policy_has_its_path() {
    for (spec, expected) in [
        ("{}", "spec.document: the policy has no `document`, a map"),
        (
            "{ document: { version: 1, owner: x, sysctl: { net.ipv4.ip_forward: 1 } } }",
            "owner: the document of a policy names no owner",
        ),
        (
            "{ document: { version: 1 }, rollout: { percent: 101 } }",
            "spec.rollout.percent: 101 is out of range: 0 to 100 %",
        ),
        (
            "{ document: { version: 1 }, nodeSelector: { matchExpressions: [{ key: a, operator: In }] } }",
            "spec.nodeSelector.matchExpressions: In needs `values`",
        ),
        ("{ document: { version: 1, links: {} } }", "links: unknown key"),
    ] {
        let found = errors(spec);
        assert!(
            found.iter().any(|one| one.starts_with(expected)),
            "{spec}: {found:?}"
        );
    }
    let unread = Policy::from_json(
        r#"{"apiVersion": "netkeel.io/v1alpha1", "kind": "NetkeelPolicy", "metadata": {"name": "a", "uid": "u-a"},
        "spec": {"document": {"version": 1}, "mode": "off"}}"#,
    )
    .unwrap_err();
    assert_eq!((&*unread.name, &*unread.uid), ("a", "u-a"));
    assert!(unread.why.starts_with("spec.mode"), "{}", unread.why);
}

#[test]
fn a_selector_holds_if_all_conditions_do() {
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let edge = labels(&[("role", "edge"), ("gpu", "")]);
    let none = labels(&[]);
    for (selector, of_edge, of_none) in [
        ("{}", true, true),
        ("{ matchLabels: { role: edge } }", true, false),
        ("{ matchLabels: { role: core } }", false, false),
        (
            "{ matchExpressions: [{ key: role, operator: In, values: [edge, core] }] }",
            true,
            false,
        ),
        (
            "{ matchExpressions: [{ key: role, operator: NotIn, values: [edge] }] }",
            false,
            true,
        ),
        (
            "{ matchExpressions: [{ key: gpu, operator: Exists }] }",
            true,
            false,
        ),
        (
            "{ matchExpressions: [{ key: gpu, operator: DoesNotExist }] }",
            false,
            true,
        ),
        (
            "{ matchLabels: { role: edge }, matchExpressions: [{ key: gpu, operator: DoesNotExist }] }",
            false,
            false,
        ),
    ] {
        let one = policy(
            "a",
            &format!(
                "{{ document: {{ version: 1, sysctl: {{ net.ipv4.ip_forward: 1 }} }}, nodeSelector: {selector} }}"
            ),
        );
        assert_eq!(one.selector.selects(&edge), of_edge, "{selector}");
        assert_eq!(one.selector.selects(&none), of_none, "{selector}");
    }
}

#[test]
fn a_new_document_comes_in_force_unless_it_is_paused_or_waits_for_its_share() {
    let first = chosen(&NodePolicies::default(), &[forward("a", 0, "")]);
    assert_eq!(shown(&first), (vec!["a=0".to_owned()], vec![]));
    let paused = chosen(&first.policies, &[forward("a", 1, ", paused: true")]);
    assert_eq!(shown(&paused).0, ["a=0"]);
    assert_eq!(paused.held["a"], Held::Paused);
    let none = chosen(&first.policies, &[forward("a", 1, ", rollout: { percent: 0 }")]);
    assert_eq!(shown(&none).0, ["a=0"]);
    assert_eq!(none.held["a"], Held::Rollout);
    // The document that a node has is not taken from it by a smaller share.
    let same = chosen(&first.policies, &[forward("a", 0, ", rollout: { percent: 0 }")]);
    assert_eq!((shown(&same).0, same.held.len()), (vec!["a=0".to_owned()], 0));
    // A node that never had it waits, too.
    let waits = chosen(&NodePolicies::default(), &[forward("a", 1, ", paused: true")]);
    assert_eq!(shown(&waits), (vec![], vec![]));
    // A generation that went down is a change like any other.
    let mut restored = forward("a", 1, "");
    restored.generation = 0;
    assert_eq!(shown(&chosen(&first.policies, &[restored])).0, ["a=1"]);
}

#[test]
fn a_policy_leaves_when_it_is_gone_or_selects_the_node_no_more() {
    let first = chosen(&NodePolicies::default(), &[forward("a", 0, "")]);
    let left = (vec![], vec!["a"]);
    let gone = chosen(&first.policies, &[]);
    assert_eq!(shown(&gone), left);
    let elsewhere = forward("a", 0, ", nodeSelector: { matchLabels: { role: core } }");
    assert_eq!(shown(&chosen(&first.policies, &[elsewhere])), left);
    // It leaves until it is released, and no more once it is back.
    assert_eq!(shown(&chosen(&gone.policies, &[])), left);
    let back = chosen(&gone.policies, &[forward("a", 0, "")]);
    assert_eq!(shown(&back), (vec!["a=0".to_owned()], vec![]));
    // One of its name with another UID is another policy.
    let mut other = forward("a", 1, "");
    other.uid = "u-2".to_owned();
    assert_eq!(
        shown(&chosen(&first.policies, &[other])),
        (vec!["a=1".to_owned()], vec!["a"])
    );
}

#[test]
fn the_newest_object_decides_what_becomes_of_the_settings() {
    let first = chosen(&NodePolicies::default(), &[forward("a", 0, "")]);
    let keep = |more: &str, value: u8| forward("a", value, &format!(", deletionPolicy: keep{more}"));
    let deletion = |policy: &Policy| {
        let again = Policy::from_json(&policy.object).unwrap();
        assert_eq!(again.deletion, policy.deletion, "a restart reads the same");
        policy.deletion
    };
    for (held, value) in [
        (keep(", paused: true", 1), 0),
        (keep(", rollout: { percent: 0 }", 1), 0),
        (keep("", 0), 0),
    ] {
        let now = chosen(&first.policies, &[held]);
        assert_eq!(shown(&now).0, [format!("a={value}")]);
        assert_eq!(deletion(&now.policies.in_force["a"]), DeletionPolicy::Keep);
        let gone = chosen(&now.policies, &[]);
        assert_eq!(deletion(&gone.policies.leaving["u-a"]), DeletionPolicy::Keep);
    }
    let elsewhere = keep(", nodeSelector: { matchLabels: { role: core } }", 0);
    let left = chosen(&first.policies, &[elsewhere]);
    assert_eq!(deletion(&left.policies.leaving["u-a"]), DeletionPolicy::Keep);
    // Also while it leaves, and back.
    let elsewhere = forward("a", 0, ", nodeSelector: { matchLabels: { role: core } }");
    let left = chosen(&left.policies, &[elsewhere]);
    assert_eq!(deletion(&left.policies.leaving["u-a"]), DeletionPolicy::Release);
}

#[test]
fn a_policy_that_only_observed_leaves_nothing() {
    let observe = forward("a", 0, ", mode: observe");
    let first = chosen(&NodePolicies::default(), std::slice::from_ref(&observe));
    assert!(first.policies.enforced.is_empty());
    let gone = chosen(&first.policies, &[]);
    assert_eq!(gone.policies, NodePolicies::default());
    // One that was enforced before it observed does.
    let enforced = chosen(&first.policies, &[forward("a", 0, "")]);
    let observed = chosen(&enforced.policies, &[observe]);
    assert_eq!(observed.policies.in_force["a"].mode, PolicyMode::Observe);
    let gone = chosen(&observed.policies, &[]);
    assert_eq!(shown(&gone).1, ["a"]);
    assert!(gone.policies.enforced.contains("u-a"));
}

#[test]
fn an_invalid_version_leaves_the_last_good_one_in_force() {
    let first = chosen(&NodePolicies::default(), &[forward("a", 0, "")]);
    let mut wrong = forward("a", 0, "");
    wrong.document = yaml("version: 1\nlinks: {}\n");
    let kept = chosen(&first.policies, &[wrong]);
    assert_eq!(shown(&kept), (vec!["a=0".to_owned()], vec![]));
    assert!(matches!(&kept.held["a"], Held::Invalid(why) if why.contains("links")));
    let unread = Unread {
        name: "a".to_owned(),
        uid: "u-a".to_owned(),
        why: "newer".to_owned(),
    };
    let labels = BTreeMap::new();
    let node = NodeLabels {
        name: "n1",
        labels: &labels,
    };
    let kept = choose(&first.policies, &[Err(unread)], node, &|_, _| None, &|_| None);
    assert_eq!(shown(&kept), (vec!["a=0".to_owned()], vec![]));
    assert_eq!(kept.held["a"], Held::Invalid("newer".to_owned()));
}

#[test]
fn policies_in_conflict_are_refused_and_the_last_good_ones_hold() {
    let both = chosen(
        &NodePolicies::default(),
        &[forward("a", 0, ""), forward("b", 1, ""), forward("c", 0, "")],
    );
    // None of the three was in force, and `a` and `c` agree with one another but not with `b`.
    assert_eq!(shown(&both), (vec![], vec![]));
    let Held::Conflict(conflict) = &both.held["a"] else {
        panic!("{:?}", both.held)
    };
    assert_eq!(
        conflict.to_string(),
        r#"sysctl."net.ipv4.ip_forward" is "0" here and "1" in the policy b"#
    );
    assert!(matches!(&both.held["b"], Held::Conflict(conflict) if conflict.with == "a"));
    // The one that was there first stays.
    let first = chosen(&NodePolicies::default(), &[forward("a", 0, "")]);
    let second = chosen(&first.policies, &[forward("a", 0, ""), forward("b", 1, "")]);
    assert_eq!(shown(&second).0, ["a=0"]);
    assert_eq!(second.held.keys().collect::<Vec<_>>(), ["b"]);
    // A change of both at once is no conflict if the new versions agree.
    let agreed = chosen(&second.policies, &[forward("a", 1, ""), forward("b", 1, "")]);
    assert_eq!(shown(&agreed).0, ["a=1", "b=1"]);
    // An old version that a conflict brings back may be in conflict with a third one.
    let mixed = chosen(
        &agreed.policies,
        &[forward("a", 0, ""), forward("b", 0, ", paused: true")],
    );
    assert_eq!(shown(&mixed).0, ["a=1", "b=1"]);
    // One that only observes is in nobody's way.
    let watching = chosen(
        &first.policies,
        &[forward("a", 0, ""), forward("b", 1, ", mode: observe")],
    );
    assert_eq!(shown(&watching).0, ["a=0", "b=1"]);
}

#[test]
fn a_change_without_a_slot_waits_and_the_document_of_before_stays() {
    let first = chosen(&NodePolicies::default(), &[forward("a", 0, "")]);
    let gated = |before: &NodePolicies, listed: &[Policy], open: &[&str]| {
        let listed: Vec<_> = listed.iter().cloned().map(Ok).collect();
        let labels = BTreeMap::new();
        let node = NodeLabels {
            name: "n1",
            labels: &labels,
        };
        let conflict = |one: &Policy, other: &Policy| between(&one.document, &other.document, &other.name);
        choose(before, &listed, node, &conflict, &|policy| {
            let waits = !open.contains(&&*policy.name);
            waits.then(|| Held::Slot("no slot".to_owned()))
        })
    };
    let waits = gated(&first.policies, &[forward("a", 1, "")], &[]);
    assert_eq!(shown(&waits).0, ["a=0"]);
    assert_eq!(waits.held["a"], Held::Slot("no slot".to_owned()));
    assert!(waits.changes.contains_key("u-a"));
    let goes_on = gated(&first.policies, &[forward("a", 1, "")], &["a"]);
    assert_eq!(
        (shown(&goes_on).0, goes_on.held.len()),
        (vec!["a=1".to_owned()], 0)
    );
    // A document that is in force, and one that is only observed, need none.
    let same = gated(&goes_on.policies, &[forward("a", 1, "")], &[]);
    assert_eq!((same.changes.len(), same.held.len()), (0, 0));
    let observed = gated(
        &NodePolicies::default(),
        &[forward("a", 1, ", mode: observe")],
        &[],
    );
    assert_eq!(
        (shown(&observed).0, observed.changes.len()),
        (vec!["a=1".to_owned()], 0)
    );
    // Two changes that agree with each other need both slots, and keep the one that they have.
    let two = chosen(
        &NodePolicies::default(),
        &[forward("a", 0, ""), forward("b", 0, "")],
    );
    let both = [forward("a", 1, ""), forward("b", 1, "")];
    let half = gated(&two.policies, &both, &["a"]);
    assert_eq!(shown(&half).0, ["a=0", "b=0"]);
    assert!(matches!(half.held["a"], Held::Conflict(_)));
    assert_eq!(half.changes.len(), 2);
    assert_eq!(shown(&gated(&two.policies, &both, &["a", "b"])).0, ["a=1", "b=1"]);
}

#[test]
fn a_rollout_and_its_probes_are_read_and_checked() {
    let document = "document: { version: 1 }";
    let read = |more: &str| policy("a", &format!("{{ {document}, {more} }}"));
    let max = |text: &str| read(&format!("rollout: {{ maxUnavailable: {text} }}")).max_unavailable;
    assert_eq!(max("2"), MaxUnavailable::Nodes(2));
    assert_eq!(max("10%"), MaxUnavailable::Percent(10));
    assert_eq!(read("paused: true").max_unavailable, MaxUnavailable::Percent(30));
    let probes = "confirm: { probes: [{ path_mtu: 192.0.2.1, expect: 1500 }] }";
    assert_eq!(read(probes).confirm.len(), 1);
    for (more, expected) in [
        (
            "rollout: { maxUnavailable: 0 }",
            "spec.rollout.maxUnavailable: 0 is out of range",
        ),
        ("rollout: { maxUnavailable: 101% }", "spec.rollout.maxUnavailable"),
        (
            "confirm: { probes: [{ expect: 1500 }] }",
            "spec.confirm.probes[0]: the probe has nothing to measure",
        ),
        (
            "confirm: { probes: [{ path_mtu: x }] }",
            "spec.confirm.probes[0].path_mtu",
        ),
        ("confirm: { probe: [] }", "spec.confirm.probe: unknown key"),
    ] {
        let found = errors(&format!("{{ {document}, {more} }}"));
        assert!(
            found.iter().any(|one| one.starts_with(expected)),
            "{more}: {found:?}"
        );
    }
    let many = ["{ path_mtu: 192.0.2.1 }"; 9].join(", ");
    let found = errors(&format!("{{ {document}, confirm: {{ probes: [{many}] }} }}"));
    assert_eq!(found, ["spec.confirm.probes: 9 probes are more than 8"]);
}
