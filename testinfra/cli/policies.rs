//! `review --nodes` shows what a change of a policy does to nodes, as their agents do it.

use std::fs;

use crate::review::fleet;
use crate::run::{Done, Scratch};
use netkeel_document::policy::Policy;
use netkeel_document::policy::percent::is_among_first;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// A policy for nodes of the role worker.
fn policy(mtu: u32, more: &str) -> String {
    format!(
        "apiVersion: netkeel.io/v1alpha1\nkind: NetkeelPolicy\nmetadata: {{ name: pods }}\nspec:\n  nodeSelector: {{ matchLabels: {{ role: worker }} }}\n\
         {more}  document:\n    version: 1\n    persist: false\n    link:\n      pods: {{ match: {{ name: \"cali*\" }}, mtu: {mtu}, pod_mtu: leave }}\n"
    )
}

#[test]
fn a_policy_is_reviewed_for_the_nodes_that_it_selects_in_the_steps_of_its_rollout() {
    let scratch = fleet();
    let put = |name: &str, text: &str| fs::write(scratch.path().join(name), text).unwrap();
    let mut items = Vec::new();
    let names = (1001..=1040).map(|number| (format!("k8s{number}"), "worker"));
    let names = names.chain((1..=12).map(|number| (format!("lb{number}.example.org"), "balancer")));
    let names = names.chain((1003..=1004).map(|number| (format!("lvs{number}"), "balancer")));
    for (name, role) in names {
        items.push(
            serde_json::json!({ "kind": "Node", "metadata": { "name": name, "labels": { "role": role } } }),
        );
    }
    items.push(serde_json::json!({ "kind": "NetkeelNode", "metadata": { "name": "k8s1007" },
        "status": { "policies": [{ "name": "pods", "documentHash": "0", "generation": 1, "mode": "enforce" }] } }));
    put(
        "nodes.yaml",
        &serde_json::json!({ "kind": "List", "items": items }).to_string(),
    );
    let review = |new: &str| review(&scratch, &policy(1460, ""), new);
    let done = review(&policy(1440, "  rollout: { percent: 50, maxUnavailable: 3 }\n"));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.stderr,
        "note: not reviewed: 14 nodes that neither policy is for\n\
         note: the old document is not in force on 1 node: k8s1007\n\
         note: taken to have the old document in force, without a NetkeelNode: 39 nodes: k8s1001, k8s1002, k8s1003, \
         k8s1004, k8s1005 and 34 more\n\
         note: the first share is 50 %; at most 3 nodes at one time\n"
    );
    let first = (1001..=1040).filter(|number| is_among_first(&format!("k8s{number}"), 50));
    let first = first.count();
    for part in [
        format!(
            "40 hosts k8s[1001-1040] (first share {first}, later share {})",
            40 - first
        ),
        "mtu 1460 -> 1440 new.yaml:".to_owned(),
    ] {
        assert!(done.stdout.contains(&part), "{part}\n{}", done.stdout);
    }
    let paused = review(&policy(1440, "  paused: true\n"));
    assert!(paused.stdout.contains("(paused 40)"), "{}", paused.stdout);
    let left = review(&policy(1460, "").replace("role: worker", "role: balancer"));
    assert!(left.stdout.contains("(leaves 40)"), "{}", left.stdout);
    assert!(!left.stdout.contains("also changes"), "{}", left.stdout);
    put("nodes.yaml", "items: [{ kind: Pod, metadata: { name: x } }]\n");
    let wrong = review(&policy(1440, ""));
    assert!(
        wrong
            .stderr
            .starts_with("error: nodes.yaml: this is not a list of nodes: it has no object of the kind Node"),
        "{wrong:?}"
    );
}

/// Writes the nodes of the fleet. Workers say that they have this version of the policy, if any.
fn put_nodes(scratch: &Scratch, version: Option<(&str, &str)>) {
    let node = |name: &str, role: &str| serde_json::json!({ "kind": "Node", "metadata": { "name": name, "labels": { "role": role } } });
    let mut items = vec![node("lb1\u{1b}[2J", "balancer"), node("lb2", "balancer")];
    for number in 1001..=1040 {
        let name = format!("k8s{number}");
        items.push(node(&name, "worker"));
        if let Some((hash, mode)) = version {
            items.push(serde_json::json!({ "kind": "NetkeelNode", "metadata": { "name": name },
                "status": { "policies": [{ "name": "pods", "documentHash": hash, "generation": 1, "mode": mode }] } }));
        }
    }
    let list = serde_json::json!({ "kind": "List", "items": items }).to_string();
    fs::write(scratch.path().join("nodes.yaml"), list).unwrap();
}

fn review(scratch: &Scratch, old: &str, new: &str) -> Done {
    fs::write(scratch.path().join("old.yaml"), old).unwrap();
    fs::write(scratch.path().join("new.yaml"), new).unwrap();
    let mut done = scratch.run(&[
        "review",
        "old.yaml",
        "new.yaml",
        "--snapshots",
        "snapshots",
        "--nodes",
        "nodes.yaml",
    ]);
    done.stdout = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    done
}

/// The number of hosts in a step, of groups that are in no other.
fn in_step(done: &Done, step: &str) -> usize {
    let before = format!("({step} ");
    let groups = done.stdout.split(&before).skip(1);
    groups
        .filter_map(|rest| rest.split(')').next()?.parse::<usize>().ok())
        .sum()
}

/// The hash of the document of a policy.
fn hash(policy: &str) -> String {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let node = sources.load("policy.yaml", policy.into(), None, &mut diagnostics);
    Policy::read(&node.unwrap(), &mut diagnostics).unwrap().hash
}

/// Without the snapshots of nodes that no policy is for.
fn workers() -> Scratch {
    let scratch = fleet();
    for file in fs::read_dir(scratch.path().join("snapshots")).unwrap() {
        let file = file.unwrap();
        if !file.file_name().to_str().unwrap().starts_with("k8s") {
            fs::remove_file(file.path()).unwrap();
        }
    }
    scratch
}

#[test]
fn a_document_that_nodes_only_observe_is_not_in_force() {
    let scratch = workers();
    let (observed, enforced) = (policy(1440, "  mode: observe\n"), policy(1440, ""));
    let hash = hash(&enforced);
    for (mode, step) in [("observe", "first share"), ("enforce", "in force already")] {
        put_nodes(&scratch, Some((&hash, mode)));
        let done = review(&scratch, &observed, &enforced);
        assert_eq!(in_step(&done, step), 40, "{mode}: {done:?}");
    }
    // The other way nothing is written, and the rollout holds it as well.
    put_nodes(&scratch, Some((&hash, "enforce")));
    for (more, step) in [("", "only observes 40"), ("  paused: true\n", "paused 40")] {
        let new = policy(1440, &format!("  mode: observe\n{more}"));
        let done = review(&scratch, &enforced, &new);
        assert!(done.stdout.contains(&format!("({step})")), "{done:?}");
        assert!(done.stdout.contains("no longer declared: keeps"), "{done:?}");
    }
    let none = policy(1440, "  mode: observe\n  rollout: { percent: 0 }\n");
    let done = review(&scratch, &enforced, &none);
    assert!(done.stdout.contains("(later share 40)"), "{done:?}");
}

#[test]
fn a_policy_that_comes_or_goes_is_for_the_nodes_that_it_selects() {
    let scratch = workers();
    put_nodes(&scratch, None);
    let released = review(&scratch, &policy(1440, ""), "version: 1\n");
    let notes = "note: not reviewed: 2 nodes that neither policy is for\n\
        note: taken to have the old document in force, without a NetkeelNode: 40 nodes: k8s1001, k8s1002, k8s1003, \
        k8s1004, k8s1005 and 35 more\n";
    assert_eq!((released.code, released.stderr.as_str()), (0, notes));
    assert!(released.stdout.contains("(leaves 40)"), "{released:?}");
    let kept = review(
        &scratch,
        &policy(1440, "  deletionPolicy: keep\n"),
        "version: 1\n",
    );
    assert!(
        kept.stdout.contains("(leaves 40)") && kept.stdout.contains("no longer declared: keeps"),
        "{kept:?}"
    );
    assert!(
        released.stdout.contains("back to the value before netkeel"),
        "{released:?}"
    );
    // By an expression. Nodes that it does not select have no snapshot, and need none.
    let by_expression = policy(1440, "").replace(
        "matchLabels: { role: worker }",
        "matchExpressions: [{ key: role, operator: NotIn, values: [balancer] }]",
    );
    let done = review(&scratch, "version: 1\n", &by_expression);
    assert!(done.code == 0 && in_step(&done, "first share") == 40, "{done:?}");
}

#[test]
fn names_of_nodes_do_not_reach_the_terminal_raw() {
    let scratch = fleet();
    put_nodes(&scratch, Some(("other", "enforce")));
    let text = fs::read_to_string(scratch.path().join("nodes.yaml")).unwrap();
    let text = text.replace("k8s1001", "k8s\\u001b[2J");
    fs::write(scratch.path().join("nodes.yaml"), text).unwrap();
    let done = review(&scratch, &policy(1460, ""), &policy(1440, ""));
    assert!(
        done.stderr.contains("is not in force on 40 nodes: k8s"),
        "{done:?}"
    );
    assert!(
        !done.stderr.contains('\u{1b}') && !done.stdout.contains('\u{1b}'),
        "{done:?}"
    );
}
