//! `review --hosts` reads inventories of Ansible, and Hiera hierarchies with facts.

use std::fs;

use crate::review::fleet;
use crate::run::Scratch;

/// A directory of variables: all hosts have a sysctl, and workers have pods.
fn variables(scratch: &Scratch, side: &str, rmem: u32, mtu: u32) {
    let put = |name: &str, text: String| {
        let file = scratch.path().join(side).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    put(
        "group_vars/all/net.yml",
        format!("netkeel_persist: false\nnetkeel_sysctl: {{ net.core.rmem_max: {rmem} }}\nntp: x\n"),
    );
    put("group_vars/all/ntp.yml", "ntp_servers: [a]\n".to_owned());
    put("group_vars/all/.hidden.yml", "netkeel_sysctl: 7\n".to_owned());
    put(
        "group_vars/workers",
        format!("netkeel_link:\n  pods: {{ match: {{ name: \"cali*\" }}, mtu: {mtu}, pod_mtu: leave }}\n"),
    );
    put(
        "host_vars/k8s1002.yaml",
        format!(
            "netkeel_link:\n  pods: {{ match: {{ name: \"cali*\" }}, mtu: {}, pod_mtu: leave }}\n",
            mtu - 40
        ),
    );
}

#[test]
fn an_ansible_inventory_gives_hosts_the_files_of_their_groups_and_stages() {
    let scratch = fleet();
    variables(&scratch, "old", 212_992, 1460);
    variables(&scratch, "new", 26_214_400, 1440);
    let put = |name: &str, text: &str| fs::write(scratch.path().join(name), text).unwrap();
    put(
        "hosts",
        "[workers]\nk8s[1001:1040]\n[balancers]\nlb[1:12].example.org\nlvs[1003:1004]\n[canary]\nk8s1001 netkeel_stage=canary\n\
         [all:vars]\nnetkeel_stage=rest\n",
    );
    put(
        "hosts.yml",
        "workers: { hosts: { \"k8s[1001:1040]\": } }\ncanary: { hosts: { k8s1001: { netkeel_stage: canary } } }\n\
         all:\n  vars: { netkeel_stage: rest }\n  children:\n    balancers: { hosts: { \"lb[1:12].example.org\": , \"lvs[1003:1004]\": } }\n",
    );
    let arguments = |inventory: &'static str| {
        [
            "review",
            "old",
            "new",
            "--from",
            "ansible",
            "--snapshots",
            "snapshots",
            "--hosts",
            inventory,
        ]
    };
    for inventory in ["hosts", "hosts.yml"] {
        let done = scratch.run(&arguments(inventory));
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        for part in [
            "  1 host  k8s1002 (rest 1)\n",
            "mtu 1420 -> 1400               new/host_vars/k8s1002.yaml:2\n",
            "  39 hosts  k8s[1001,1003-1040] (canary 1, rest 38)\n",
            "mtu 1460 -> 1440              new/group_vars/workers:2\n",
            "  14 hosts  lb[1-9].example.org, lb[10-12].example.org, lvs[1003-1004] (rest 14)\n",
            "Review: 54 of 54 hosts change in 3 ways.",
        ] {
            assert!(done.stdout.contains(part), "{part}\n{}", done.stdout);
        }
    }
    // A host without data, one that the inventory does not have, and one without a snapshot.
    fs::remove_dir_all(scratch.path().join("old/group_vars/all")).unwrap();
    fs::remove_dir_all(scratch.path().join("new/group_vars/all")).unwrap();
    put("hosts", "[workers]\nk8s[1001:1041]\n[db]\nlb[1:12].example.org\n");
    let done = scratch.run(&arguments("hosts"));
    assert_eq!(done.code, 1);
    assert_eq!(
        done.stderr,
        "note: not reviewed: 12 hosts of the inventory without data for netkeel\n"
    );
    for part in [
        "k8s1041: snapshots/k8s1041.json does not exist\n",
        "lvs1003: no entry is for it\n",
    ] {
        assert!(done.stdout.contains(part), "{}", done.stdout);
    }
    put("hosts", "[workers]\nk8s[1001:x] ansible_password=hunter2\n");
    let done = scratch.run(&arguments("hosts"));
    assert!(
        done.code == 1 && done.stderr.contains("hosts:2:1") && !done.stderr.contains("hunter2"),
        "{done:?}"
    );
}

#[test]
fn hosts_that_only_the_new_side_declares_are_compared_with_nothing() {
    let scratch = fleet();
    fs::create_dir(scratch.path().join("old")).unwrap();
    variables(&scratch, "new", 26_214_400, 1440);
    fs::write(scratch.path().join("hosts"), "[balancers]\nlb1.example.org\n").unwrap();
    let done = scratch.run(&[
        "review",
        "old",
        "new",
        "--from",
        "ansible",
        "--snapshots",
        "snapshots",
        "--hosts",
        "hosts",
        "--fail-on",
        "change",
    ]);
    assert!(
        done.stdout.contains("1 host  lb1.example.org") && done.stdout.contains("212992 -> 26214400"),
        "{done:?}"
    );
}

#[test]
fn a_hiera_hierarchy_is_followed_with_the_facts_of_each_host() {
    let scratch = fleet();
    let put = |name: &str, text: &str| {
        let file = scratch.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    for (side, rmem, mtu) in [("old", 212_992, 1460), ("new", 26_214_400, 1440)] {
        put(
            &format!("{side}/hiera.yaml"),
            "version: 5\nhierarchy:\n  - { name: role, glob: \"role/%{facts.role}*.yaml\" }\n  - { name: all, path: common.yaml }\n",
        );
        put(
            &format!("{side}/data/common.yaml"),
            &format!("netkeel::persist: false\nnetkeel::sysctl: {{ net.core.rmem_max: {rmem} }}\n"),
        );
        put(
            &format!("{side}/data/role/worker.yaml"),
            &format!(
                "netkeel::link:\n  pods: {{ match: {{ name: \"%{{facts.pods}}*\" }}, mtu: {mtu}, pod_mtu: leave }}\n"
            ),
        );
    }
    for number in 1001..=1040 {
        put(
            &format!("facts/k8s{number}.json"),
            "{ \"role\": \"worker\", \"pods\": \"cali\" }",
        );
    }
    for number in 1..=12 {
        put(
            &format!("facts/lb{number}.example.org.json"),
            "{ \"role\": \"balancer\" }",
        );
    }
    put("facts/lvs1003.yaml", "role: balancer\n");
    put("facts/lvs1004.yaml", "site: a\n");
    let arguments = [
        "review",
        "old",
        "new",
        "--from",
        "hiera",
        "--snapshots",
        "snapshots",
        "--hosts",
        "facts",
    ];
    let done = scratch.run(&arguments);
    assert_eq!(done.code, 1, "{done:?}");
    for part in [
        "40 hosts  k8s[1001-1040]",
        "1 to 8 links cali*  mtu 1460 -> 1440",
        "13 hosts  lb[1-9].example.org, lb[10-12].example.org, lvs1003\n",
        "1 host  cannot be planned: the inventory has no document for it\n    lvs1004: old/hiera.yaml:3: no fact `role` is given",
    ] {
        assert!(done.stdout.contains(part), "{part}\n{}", done.stdout);
    }
    // The old side in a commit.
    let git = |arguments: &[&str]| {
        let identity = [
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@example.org",
            "-c",
            "init.defaultBranch=main",
        ];
        let done = scratch.command("git", &[&identity, arguments].concat());
        assert_eq!(done.code, 0, "{done:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "old"]);
    git(&["commit", "--quiet", "--message", "one"]);
    let mut of_git = arguments;
    of_git[1] = "git:main:old";
    let with = scratch.run(&of_git);
    assert_eq!(
        with.stdout.replace("main:old", "old").replace("git:old", "old"),
        done.stdout.replace("git:old", "old")
    );
}

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
    put("old.yaml", &policy(1460, ""));
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
    let review = |new: &str| {
        put("new.yaml", new);
        scratch.run(&[
            "review",
            "old.yaml",
            "new.yaml",
            "--snapshots",
            "snapshots",
            "--cluster",
            "nodes.yaml",
        ])
    };
    let done = review(&policy(1440, "  rollout: { percent: 50, maxUnavailable: 3 }\n"));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.stderr,
        "note: not reviewed: 14 nodes that neither policy is for\n\
         note: the old document is not in force on 1 node: k8s1007\n\
         note: the first share is 50 %; at most 3 nodes at one time\n"
    );
    let shown = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "40 hosts k8s[1001-1040] (first share ",
        ", later share ",
        "mtu 1460 -> 1440 new.yaml:",
    ] {
        assert!(shown.contains(part), "{part}\n{}", done.stdout);
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
