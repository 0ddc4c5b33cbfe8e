//! `review --hosts` reads inventories of Ansible, and Hiera hierarchies with facts.

use std::fs;

use crate::review::fleet;
use crate::run::{Done, Scratch};

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
    for inventory in ["hosts", "hosts.yml"] {
        let done = review(&scratch, "ansible", inventory, &[]);
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
    let done = review(&scratch, "ansible", "hosts", &[]);
    assert_eq!(done.code, 1);
    assert_eq!(
        done.stderr,
        "note: not reviewed: 12 hosts of the inventory without data for netkeel: lb1.example.org, lb10.example.org, \
         lb11.example.org, lb12.example.org, lb2.example.org and 7 more\n"
    );
    for part in [
        "k8s1041: snapshots/k8s1041.json does not exist\n",
        "lvs1003: no entry is for it\n",
    ] {
        assert!(done.stdout.contains(part), "{}", done.stdout);
    }
    put("hosts", "[workers]\nk8s[1001:x] ansible_password=hunter2\n");
    let done = review(&scratch, "ansible", "hosts", &[]);
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
    let done = review(&scratch, "ansible", "hosts", &["--fail-on", "change"]);
    assert_eq!(
        done.code, 1,
        "hosts of the fleet that the inventory lacks: {done:?}"
    );
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
    let done = review(&scratch, "hiera", "facts", &[]);
    assert_eq!(done.code, 1, "{done:?}");
    for part in [
        "40 hosts  k8s[1001-1040]",
        "1 to 8 links cali*  mtu 1460 -> 1440",
        "13 hosts  lb[1-9].example.org, lb[10-12].example.org, lvs1003\n",
        "1 host  cannot be planned: the inventory has no valid document for it\n    lvs1004: old/hiera.yaml:3: no fact `role` is given",
    ] {
        assert!(done.stdout.contains(part), "{part}\n{}", done.stdout);
    }
    // The old side in a commit.
    scratch.git(&["init", "--quiet"]);
    scratch.git(&["add", "old"]);
    scratch.git(&["commit", "--quiet", "--message", "one"]);
    let with = review_of(&scratch, ["git:main:old", "new"], "hiera", "facts", &[]);
    assert_eq!(
        with.stdout.replace("main:old", "old").replace("git:old", "old"),
        done.stdout.replace("git:old", "old")
    );
}

/// Writes a file with its directories.
fn put(scratch: &Scratch, name: &str, text: &str) {
    let file = scratch.path().join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn review(scratch: &Scratch, from: &str, hosts: &str, more: &[&str]) -> Done {
    review_of(scratch, ["old", "new"], from, hosts, more)
}

fn review_of(scratch: &Scratch, sides: [&str; 2], from: &str, hosts: &str, more: &[&str]) -> Done {
    let arguments = ["--from", from, "--snapshots", "snapshots", "--hosts", hosts];
    scratch.run(&[&["review"], &sides[..], &arguments, more].concat())
}

/// A hierarchy with a level of the role of each of 3 hosts, beside data of other modules.
fn hierarchy(datadir: &str) -> Scratch {
    let scratch = fleet();
    for (side, rmem) in [("old", 212_992), ("new", 26_214_400)] {
        put(
            &scratch,
            &format!("{side}/hiera.yaml"),
            &format!(
                "version: 5\ndefaults: {{ datadir: {datadir} }}\nhierarchy:\n  - {{ name: role, path: \"role/%{{facts.role}}.yaml\" }}\n  - {{ name: all, path: common.yaml }}\n"
            ),
        );
        put(
            &scratch,
            &format!("{side}/data/common.yaml"),
            "lookup_options: { ntp::servers: { merge: unique } }\nnetkeel::package_ensure: latest\n",
        );
        put(
            &scratch,
            &format!("{side}/data/role/lvs.yaml"),
            &format!("netkeel::persist: false\nnetkeel::sysctl: {{ net.core.rmem_max: {rmem} }}\n"),
        );
    }
    fs::remove_dir_all(scratch.path().join("snapshots")).unwrap();
    let all = fleet();
    for host in ["lvs1003", "lvs1004", "lb1.example.org"] {
        let name = format!("snapshots/{host}.json");
        put(
            &scratch,
            &name,
            &fs::read_to_string(all.path().join(&name)).unwrap(),
        );
        let role = if host.starts_with("lvs") {
            "lvs"
        } else {
            "balancer"
        };
        put(
            &scratch,
            &format!("facts/{host}.yaml"),
            &format!("role: {role}\n"),
        );
    }
    scratch
}

#[test]
fn hosts_without_a_part_of_a_document_in_hiera_are_not_reviewed() {
    let scratch = hierarchy("data");
    let done = review(&scratch, "hiera", "facts", &[]);
    assert_eq!(
        (done.code, done.stderr.as_str()),
        (
            0,
            "note: not reviewed: 1 host of the inventory without data for netkeel: lb1.example.org\n"
        )
    );
    assert!(done.stdout.contains("2 hosts  lvs[1003-1004]"), "{done:?}");
    // Where no host has any, the places are wrong.
    fs::remove_dir_all(scratch.path().join("old/data/role")).unwrap();
    fs::remove_dir_all(scratch.path().join("new/data/role")).unwrap();
    let done = review(&scratch, "hiera", "facts", &[]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr
            .starts_with("error: neither old nor new has data for netkeel of a host of the inventory"),
        "{done:?}"
    );
    let done = review(&scratch, "hiera", "facts", &["--facts", "facts/lvs1003.yaml"]);
    assert!(
        done.stderr
            .starts_with("error: --facts and --hosts both name files of facts"),
        "{done:?}"
    );
}

#[test]
fn facts_and_values_of_one_host_stop_no_review_of_the_others() {
    let scratch = hierarchy("data");
    put(&scratch, "facts/lvs1004.yaml", "role: [lvs\n");
    put(&scratch, "facts/lb1.example.org.yaml", "role: other\n");
    for side in ["old", "new"] {
        put(
            &scratch,
            &format!("{side}/data/role/other.yaml"),
            "netkeel::sysctl: { net.core.rmem_max: \"%{facts.rmem}\" }\n",
        );
    }
    let done = review(&scratch, "hiera", "facts", &[]);
    assert_eq!(done.code, 1, "{done:?}");
    let shown = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "1 host lvs1003 ",
        "2 hosts cannot be planned: the inventory has no valid document for it",
        "lb1.example.org: no fact `rmem` is given (old/data/role/other.yaml:1)",
        "lvs1004: facts/lvs1004.yaml: cannot read the facts: error: ",
    ] {
        assert!(shown.contains(part), "{part}\n{}", done.stdout);
    }
}

#[test]
fn a_hierarchy_does_not_leave_its_directory() {
    for (datadir, role, path) in [
        (
            "/etc/puppet/hieradata",
            "lvs",
            "/etc/puppet/hieradata/role/lvs.yaml",
        ),
        ("../data", "lvs", "../data/role/lvs.yaml"),
        ("data", "../../../x", "data/role/../../../x.yaml"),
    ] {
        let scratch = hierarchy(datadir);
        put(&scratch, "facts/lvs1003.yaml", &format!("role: {role}\n"));
        let done = review(&scratch, "hiera", "facts", &[]);
        let expected = format!("lvs1003: old/hiera.yaml: the path `{path}` leaves its directory");
        let shown = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            done.code == 1 && shown.contains(&expected),
            "{expected}\n{done:?}"
        );
    }
}

#[test]
fn directories_of_variables_that_cannot_be_read_are_errors() {
    let scratch = fleet();
    variables(&scratch, "old", 212_992, 1460);
    variables(&scratch, "new", 26_214_400, 1440);
    put(&scratch, "hosts", "[workers]\nk8s[1001:1040]\n");
    // A whole vault, and a directory that Ansible skips.
    for side in ["old", "new"] {
        put(
            &scratch,
            &format!("{side}/group_vars/all/vault.yml"),
            "$ANSIBLE_VAULT;1.1;AES256\n6638\n",
        );
        put(
            &scratch,
            &format!("{side}/group_vars/all/old.yml/a.yml"),
            "netkeel_sysctl: 7\n",
        );
    }
    let done = review(&scratch, "ansible", "hosts", &[]);
    assert_eq!(
        done.stderr,
        "note: not read: 2 files that Ansible's vault encrypts: new/group_vars/all/vault.yml, old/group_vars/all/vault.yml\n"
    );
    assert!(done.stdout.contains("39 hosts  k8s[1001,1003-1040]"), "{done:?}");
    let done = review(&scratch, "hiera", "hosts", &[]);
    assert!(
        done.code == 1 && done.stderr.starts_with("error: hosts is an inventory of Ansible"),
        "{done:?}"
    );
    // A host that unsets the only variable for netkeel.
    for side in ["old", "new"] {
        put(
            &scratch,
            &format!("{side}/host_vars/lb1.example.org"),
            "netkeel_persist: ~\nnetkeel_sysctl: ~\n",
        );
    }
    put(
        &scratch,
        "hosts",
        "[workers]\nk8s[1001:1040]\n[lb]\nlb1.example.org\n",
    );
    let done = review(&scratch, "ansible", "hosts", &[]);
    let shown = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        done.code == 1 && shown.contains("k8s[1001,1003-1040]") && shown.contains("lb1.example.org: "),
        "{done:?}"
    );
    for name in ["a", "b"] {
        std::os::unix::fs::symlink(".", scratch.path().join("new/group_vars/all").join(name)).unwrap();
    }
    let done = review(&scratch, "ansible", "hosts", &[]);
    assert!(
        done.code == 1 && done.stderr.contains("is below too many directories"),
        "{done:?}"
    );
    fs::rename(
        scratch.path().join("old/group_vars"),
        scratch.path().join("old/groups"),
    )
    .unwrap();
    let link = scratch.path().join("old/group_vars");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let done = review(&scratch, "ansible", "hosts", &[]);
    assert!(
        done.code == 1 && done.stderr.starts_with("error: old/group_vars: "),
        "{done:?}"
    );
    // In a commit no link is followed.
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("groups", &link).unwrap();
    scratch.git(&["init", "--quiet"]);
    scratch.git(&["add", "old"]);
    scratch.git(&["commit", "--quiet", "--message", "one"]);
    let done = review_of(&scratch, ["git:main:old", "old"], "ansible", "hosts", &[]);
    assert!(
        done.code == 1
            && done
                .stderr
                .contains("group_vars leads through a symbolic link in the commit"),
        "{done:?}"
    );
}
