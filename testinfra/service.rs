//! The service, as a program on the real kernel: in namespaces of the tests' own, which need root
//! and iproute2; without them, promtool and systemd-analyze the tests fail.

#[path = "service/asked.rs"]
mod asked;
#[path = "service/conflist.rs"]
mod conflist;
#[path = "service/crowded.rs"]
mod crowded;
#[path = "service/daemon.rs"]
mod daemon;
#[path = "service/hostile.rs"]
mod hostile;
#[path = "service/lock.rs"]
mod lock;
#[path = "support/namespace.rs"]
mod namespace;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "faults/observed.rs"]
mod observed;
#[path = "service/owner.rs"]
mod owner;
#[path = "service/path.rs"]
mod path;
#[path = "service/pods.rs"]
mod pods;
#[path = "service/probes.rs"]
mod probes;
#[path = "service/secrets.rs"]
mod secrets;
#[path = "service/templates.rs"]
mod templates;
#[path = "service/told.rs"]
mod told;
#[path = "service/wireguard.rs"]
mod wireguard;
#[path = "service/worker.rs"]
mod worker;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "faults/world.rs"]
mod world;

use daemon::{Daemon, PODS, settled, status};
use namespace::Namespace;

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use netkeel_apply::store::Store;
use netkeel_apply::store::kept::left_rules::LeftRules;
use netkeel_core::fact::Fact;
use netkeel_core::name::netns::Netns;

/// The longest wait of a test, which allows for a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// Past the harness, which hides what a test that passes prints.
fn tell(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < SOON, "it took too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The MTU and rp_filter of an interface.
fn facts(namespace: &Namespace, link: &str) -> String {
    namespace.sh(&format!(
        "ip -o link show {link} | sed 's/.* mtu \\([0-9]*\\).*/\\1/'; cat /proc/sys/net/ipv4/conf/{link}/rp_filter"
    ))
}

#[test]
fn an_interface_that_appears_or_is_changed_is_put_right() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let service = Daemon::start(&namespace, PODS, &[]);
    until("the interface that was there is right", || {
        facts(&namespace, "cali1") == "1460\n1\n"
    });
    namespace.sh("ip link add cali2 type veth peer name eth2");
    until("the new one is right", || {
        facts(&namespace, "cali2") == "1460\n1\n"
    });
    namespace.sh("ip link set cali1 mtu 1400");
    until("its MTU is put back", || {
        facts(&namespace, "cali1") == "1460\n1\n"
    });
    // Told by netconf, not by a message of the interface.
    namespace.sh("echo 0 > /proc/sys/net/ipv4/conf/cali1/rp_filter");
    until("its rp_filter is put back", || {
        facts(&namespace, "cali1") == "1460\n1\n"
    });
    let (code, log) = service.stop();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("event=stopped"), "{log}");
    // It leaves the host as it is, and what it wrote is known.
    assert_eq!(facts(&namespace, "cali2"), "1460\n1\n");
    assert!(
        daemon::netkeel(&["history", "--netns", &namespace.name])
            .1
            .contains("netkeel run")
    );
}

#[test]
fn a_document_is_read_again_when_it_changes_or_when_told() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let mut service = Daemon::start(&namespace, PODS, &[]);
    until("it is right", || facts(&namespace, "cali1") == "1460\n1\n");
    service.write(&PODS.replace("1460", "1440"));
    until("the changed file counts", || {
        facts(&namespace, "cali1") == "1440\n1\n"
    });
    // A bad one does not.
    service.write(&PODS.replace("1460", "potato"));
    service.wait_for("event=document-rejected");
    namespace.sh("ip link set cali1 mtu 1500");
    until("the old one is in force", || {
        facts(&namespace, "cali1") == "1440\n1\n"
    });
    // By renaming, and with a signal that says nothing new.
    let next = service.document.with_extension("new");
    fs::write(&next, PODS.replace("1460", "1420")).unwrap();
    fs::rename(&next, &service.document).unwrap();
    until("the renamed file counts", || {
        facts(&namespace, "cali1") == "1420\n1\n"
    });
    service.signal("HUP");
    service.wait_for("changed=false");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_document_counts_by_whatever_way_it_is_replaced() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let service = Daemon::start(&namespace, PODS, &["--interval", "1s"]);
    let becomes = |mtu: &str| {
        until("it is right", || {
            facts(&namespace, "cali1") == format!("{mtu}\n1\n")
        })
    };
    becomes("1460");
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target.yaml");
    fs::write(&target, PODS.replace("1460", "1440")).unwrap();
    let link = service.document.with_extension("new");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    fs::rename(&link, &service.document).unwrap();
    becomes("1440");
    fs::write(&target, PODS.replace("1460", "1420")).unwrap();
    becomes("1420");
    // By another name of the same file, which no watch tells.
    let other = elsewhere.path().join("beside").join("other.yaml");
    fs::create_dir(other.parent().unwrap()).unwrap();
    fs::hard_link(&target, &other).unwrap();
    fs::write(&other, PODS.replace("1460", "1400")).unwrap();
    becomes("1400");
    // Nor is a bad one the last that is looked at.
    fs::write(&other, "potato").unwrap();
    until("it is not taken", || {
        status(&namespace)["document"]["rejected"].is_string()
    });
    fs::write(&other, PODS.replace("1460", "1380")).unwrap();
    becomes("1380");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn with_a_bad_document_it_begins_with_the_last_good_one_or_not_at_all() {
    let namespace = Namespace::new();
    let bad = PODS.replace("1460", "potato");
    let never = Daemon::start(&namespace, &bad, &[]);
    let (code, log) = never.ended();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("potato"), "{log}");

    let mut service = Daemon::start(&namespace, PODS, &[]);
    service.wait_for("event=started");
    service.wait_for("event=full-scan");
    assert_eq!(service.stop().0, 0);
    let mut again = Daemon::start(&namespace, &bad, &[]);
    again.wait_for("event=document-rejected");
    namespace.sh("ip link add cali1 type veth peer name eth1");
    until("it is right all the same", || {
        facts(&namespace, "cali1") == "1460\n1\n"
    });
    assert_eq!(again.stop().0, 0);
}

#[test]
fn a_fact_that_another_program_writes_too_is_told_and_costs_little() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let mut service = Daemon::start(&namespace, PODS, &[]);
    until("it is right", || facts(&namespace, "cali1") == "1460\n1\n");
    let before = service.cpu();
    let start = Instant::now();
    let script = "while :; do echo 0 > /proc/sys/net/ipv4/conf/cali1/rp_filter; sleep 0.1; done";
    let mut other = std::process::Command::new("ip")
        .args(["netns", "exec", &namespace.name, "sh", "-c", script])
        .spawn()
        .unwrap();
    service.wait_for("event=flap");
    std::thread::sleep(Duration::from_secs(5));
    other.kill().unwrap();
    other.wait().unwrap();
    let (spent, passed) = (service.cpu() - before, start.elapsed());
    assert!(spent < passed / 5, "{spent:?} of {passed:?}");
    until("it is put right at last", || {
        facts(&namespace, "cali1") == "1460\n1\n"
    });
    assert_eq!(service.stop().0, 0);
}

#[test]
fn events_that_are_lost_are_made_up_for() {
    let namespace = Namespace::new();
    // The least that the kernel gives; a burst of interfaces does not fit.
    let mut service = Daemon::start(&namespace, PODS, &["--event-queue", "2048"]);
    service.wait_for("event=full-scan");
    // While it is stopped nobody takes what is queued.
    service.signal("STOP");
    namespace.sh("for i in $(seq 40); do echo link add cali$i type veth peer name eth$i; done | ip -batch -");
    service.signal("CONT");
    service.wait_for("event=events-lost");
    until("all of them are right", || {
        namespace.sh("ip -o link show | grep -c 'cali.*mtu 1460' || :") == "40\n"
    });
    assert_eq!(service.stop().0, 0);
}

#[test]
fn what_a_killed_service_left_is_undone_or_finished_by_the_next() {
    let namespace = Namespace::new();
    namespace
        .sh("for i in $(seq 200); do echo link add cali$i type veth peer name eth$i; done | ip -batch -");
    for attempt in 0..10u64 {
        let service = Daemon::start(&namespace, PODS, &[]);
        std::thread::sleep(Duration::from_millis(20 + attempt * 7));
        service.signal("KILL");
        service.ended();
        namespace.sh("for i in $(seq 200); do echo link set cali$i mtu 1500; done | ip -batch -");
    }
    let mut service = Daemon::start(&namespace, PODS, &[]);
    service.wait_for("event=full-scan");
    until("all of them are right", || {
        namespace.sh("ip -o link show | grep -c 'cali.*mtu 1460' || :") == "200\n"
    });
    assert_eq!(service.stop().0, 0);
    assert_eq!(
        daemon::netkeel(&["recover", "--netns", &namespace.name]).1,
        "Nothing to recover.\n"
    );
}

#[test]
fn interfaces_that_went_are_not_remembered() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali0 type veth peer name eth0");
    let service = Daemon::start(&namespace, PODS, &[]);
    let ledger = || Store::open(&namespace.netns()).unwrap().ledger().unwrap();
    let held = || ledger().claims().len();
    until("the one that stays is right", || held() == 2);
    // Both ends go: more than the service lets pass before it looks which are left.
    namespace.sh("for i in $(seq 70); do echo link add cali$i type veth peer name eth$i; done | ip -batch -");
    until("all of them are held", || held() == 142);
    namespace.sh("for i in $(seq 70); do echo link delete cali$i; done | ip -batch -");
    until("most of them are forgotten", || held() < 40);
    assert!(ledger().wants_compacting());
    namespace.sh("ip link set cali0 mtu 1400");
    until("the log says no more than that", || !ledger().wants_compacting());
    assert!((2..40).contains(&held()));
    assert_eq!(service.stop().0, 0);
}

#[test]
fn what_is_held_of_interfaces_that_went_stays_while_an_apply_waits_to_be_confirmed() {
    let namespace = Namespace::new();
    namespace.sh("for i in $(seq 70); do echo link add cali$i type veth peer name eth$i; done | ip -batch -");
    let mut service = Daemon::start(&namespace, PODS, &[]);
    let ledger = || Store::open(&namespace.netns()).unwrap().ledger().unwrap();
    until("all of them are held", || ledger().claims().len() == 140);
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.yaml");
    let document = "version: 1\nowner: other\npersist: no\nsysctl: { net.ipv4.ip_forward: 1 }\n";
    fs::write(&other, document).unwrap();
    let (code, said) = daemon::netkeel(&[
        "apply",
        "--netns",
        &namespace.name,
        "-f",
        other.to_str().unwrap(),
        "--lock-timeout",
        "60s",
        "--confirm-within",
        "600s",
    ]);
    assert_eq!(code, 0, "{said}");
    let before = ledger().of("default").count();
    namespace.sh("for i in $(seq 70); do echo link delete cali$i; done | ip -batch -");
    service.wait_for("event=ledger");
    assert_eq!(ledger().of("default").count(), before);
    let (code, said) = daemon::netkeel(&["confirm", "--lock-timeout", "60s", "--netns", &namespace.name]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn who_only_observes_writes_nothing() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let before = facts(&namespace, "cali1");
    let mut service = Daemon::start(&namespace, PODS, &["--mode", "observe"]);
    service.wait_for("event=full-scan");
    namespace.sh("ip link add cali2 type veth peer name eth2");
    until("it has looked at the new one", || {
        status(&namespace)["drift"].as_array().map(Vec::len) == Some(4)
    });
    assert_eq!(facts(&namespace, "cali1"), before);
    assert_eq!(facts(&namespace, "cali2"), before);
    assert_eq!(service.stop().0, 0);
    assert_eq!(
        daemon::netkeel(&["history", "--netns", &namespace.name]).1,
        "No applies are recorded.\n"
    );
}

#[test]
fn rules_that_log_are_kept_while_it_runs_and_go_when_it_stops() {
    const LOGGING: &str = "version: 1\nnflog:\n  first: { interfaces: [eth0] }\n  second: { interfaces: [eth0], group: 34, remove_on_stop: no }\n";
    let namespace = Namespace::new();
    let listed = || namespace.sh("nft -s list ruleset");
    let mut service = Daemon::start(&namespace, LOGGING, &["--interval", "1s"]);
    service.wait_for("event=full-scan");
    let both = listed();
    assert_eq!(both.matches("log group").count(), 4, "{both}");
    namespace.sh("nft delete table inet netkeel");
    until("the rules are made again", || listed() == both);
    assert_eq!(service.stop().0, 0);
    let left = listed();
    assert_eq!(left.matches("log group 34").count(), 2, "{left}");
    assert!(!left.contains("group 33"), "{left}");
    let (status, said) = daemon::netkeel(&["release", "--netns", &namespace.name]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(listed(), "");
}

/// A run that systemd restarts leaves its rules to the next one, which may have another document or only observe.
#[test]
fn rules_that_a_restart_left_go_where_the_next_run_does_not_have_them() {
    const LOGGING: &str =
        "version: 1\nnflog: { first: { interfaces: [eth0] }, second: { interfaces: [eth0], group: 34 } }\n";
    let namespace = Namespace::new();
    let listed = || namespace.sh("nft -s list ruleset");
    let leave = || {
        let mut service = Daemon::start(&namespace, LOGGING, &[]);
        service.wait_for("event=full-scan");
        until("both are there", || listed().matches("log group").count() == 4);
        service.signal("KILL");
        drop(service);
        let netns = Netns::named(&namespace.name);
        let facts = ["first", "second"].map(|name| Fact::nflog(&netns, &name.parse().unwrap()));
        let left = LeftRules {
            owner: "default".to_owned(),
            facts: facts.into(),
        };
        Store::open(&netns).unwrap().keep_left_rules(&left).unwrap();
    };
    leave();
    let one = "version: 1\nnflog: { second: { interfaces: [eth0], group: 34 } }\n";
    let mut service = Daemon::start(&namespace, one, &[]);
    service.wait_for("event=full-scan");
    let rules = listed();
    assert!(
        !rules.contains("group 33") && rules.contains("group 34"),
        "{rules}"
    );
    assert_eq!(service.stop().0, 0);
    leave();
    let mut service = Daemon::start(&namespace, LOGGING, &["--mode", "observe"]);
    service.wait_for("event=full-scan");
    assert_eq!(listed().matches("log group").count(), 0);
    assert_eq!(service.stop().0, 0);
}

/// An apply that waits to be confirmed holds up all other writes: the rules go once it is confirmed.
#[test]
fn rules_that_a_restart_left_go_once_no_apply_waits() {
    const LOGGING: &str = "version: 1\nnflog: { first: { interfaces: [eth0] } }\n";
    let namespace = Namespace::new();
    let listed = || namespace.sh("nft -s list ruleset");
    let mut service = Daemon::start(&namespace, LOGGING, &[]);
    until("the rule is there", || listed().contains("group 33"));
    service.wait_for("event=full-scan");
    service.signal("KILL");
    drop(service);
    let netns = Netns::named(&namespace.name);
    let left = LeftRules {
        owner: "default".to_owned(),
        facts: [Fact::nflog(&netns, &"first".parse().unwrap())].into(),
    };
    Store::open(&netns).unwrap().keep_left_rules(&left).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let other = scratch.path().join("other.yaml");
    fs::write(
        &other,
        "version: 1\nowner: other\nsysctl: { net.ipv4.ip_forward: 1 }\n",
    )
    .unwrap();
    let other = other.to_str().unwrap();
    let netkeel = |arguments: &[&str]| {
        let (code, said) = daemon::netkeel(&[arguments, &["--netns", &namespace.name]].concat());
        assert_eq!(code, 0, "{said}");
    };
    netkeel(&["apply", "-f", other, "--confirm-within", "600s"]);
    let mut service = Daemon::start(&namespace, LOGGING, &["--mode", "observe"]);
    service.wait_for("event=not-given-back");
    assert!(listed().contains("group 33"));
    netkeel(&["confirm"]);
    service.wait_for("event=left-rules-removed");
    assert!(!listed().contains("group 33"), "{}", listed());
    assert_eq!(service.stop().0, 0);
}

/// A restart of nftables flushes netkeel's rules too, and the kernel reports it.
#[test]
fn rules_that_are_flushed_are_made_again_at_once_and_its_own_writes_wake_nobody() {
    const LOGGING: &str = "version: 1\nnflog: { first: { interfaces: [eth0] } }\n";
    let namespace = Namespace::new();
    let listed = || namespace.sh("nft -s list ruleset");
    let mut service = Daemon::start(&namespace, LOGGING, &[]);
    service.wait_for("event=full-scan");
    until("the rules are there", || listed().contains("group 33"));
    let before = listed();
    let passes = || status(&namespace)["counters"]["passes"].as_u64().unwrap();
    let start = Instant::now();
    loop {
        let begun = Instant::now();
        namespace.sh("nft flush ruleset");
        until("the rules are made again", || listed() == before);
        let quiet = settled(Duration::from_secs(1), passes);
        // Rules of other programs are checked later: after 5 s, which a machine that is too slow does not notice.
        namespace.sh("nft add table inet other; nft add chain inet other one");
        std::thread::sleep(Duration::from_secs(1));
        let now = passes();
        if begun.elapsed() < Duration::from_secs(4) {
            assert_eq!(now, quiet);
            break;
        }
        assert!(start.elapsed() < SOON, "this machine is too slow");
    }
    assert_eq!(service.stop().0, 0);
}

#[test]
fn what_cannot_be_planned_is_left_alone_and_the_others_are_kept() {
    const HALF: &str =
        "version: 1\npersist: false\nsysctl: { net.ipv4.no_such_key: 1, net.ipv4.tcp_mtu_probing: 2 }\n";
    let namespace = Namespace::new();
    let probing = || namespace.sh("cat /proc/sys/net/ipv4/tcp_mtu_probing");
    for (mode, found) in [("observe", "0\n"), ("enforce", "2\n")] {
        let mut service = Daemon::start(&namespace, HALF, &["--mode", mode]);
        service.wait_for("event=full-scan");
        let status = status(&namespace);
        assert_eq!(probing(), found);
        assert_eq!(status["failure"], serde_json::Value::Null, "{status}");
        let alone = &status["suspended"][0];
        assert_eq!(alone["why"], "refused", "{status}");
        let reason = alone["reason"].as_str().unwrap();
        assert!(reason.contains("this kernel has no sysctl"), "{reason}");
        assert_eq!(
            status["drift"].as_array().map(Vec::len),
            Some(usize::from(mode == "observe"))
        );
        assert_eq!(service.stop().0, 0);
    }
    // By hand it is all or nothing.
    let place = tempfile::tempdir().unwrap();
    let document = place.path().join("half.yaml");
    fs::write(&document, HALF.replace("probing: 2", "probing: 1")).unwrap();
    let (code, said) = daemon::netkeel(&[
        "apply",
        "-f",
        document.to_str().unwrap(),
        "--netns",
        &namespace.name,
    ]);
    assert_eq!((code, probing().as_str()), (1, "2\n"), "{said}");
}
