//! An apply or a release by hand beside a service of the same owner.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::daemon::{Daemon, PODS, netkeel, netkeel_inside, program, status};
use super::namespace::Namespace;
use super::{SOON, facts, until};

const OTHER: &str = "version: 1\npersist: no\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1400 }\n";

/// A namespace with an interface that a service keeps.
fn kept(more: &[&str]) -> (Namespace, Daemon) {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let mut service = Daemon::start(&namespace, PODS, more);
    service.wait_for("event=full-scan");
    (namespace, service)
}

fn pid(namespace: &Namespace) -> u64 {
    status(namespace)["pid"].as_u64().unwrap()
}

/// Waits until the service has looked at an interface that was not there before, and so at all that came before it.
fn looked(namespace: &Namespace) {
    namespace.sh("ip link add cali9 type veth peer name eth9");
    until("the service has looked at the new one", || {
        let status = status(namespace);
        let drift = status["drift"].as_array().unwrap();
        drift.iter().any(|drift| drift["fact"] == "link cali9 mtu")
    });
    namespace.sh("ip link del cali9");
}

fn apply(namespace: &Namespace, document: &Path, more: &[&str]) -> (i32, String) {
    let document = document.to_str().unwrap();
    netkeel(
        &[
            &[
                "apply",
                "--lock-timeout",
                "60s",
                "--netns",
                &namespace.name,
                "-f",
                document,
            ],
            more,
        ]
        .concat(),
    )
}

fn release(namespace: &Namespace, more: &[&str]) -> (i32, String) {
    netkeel(
        &[
            &["release", "--lock-timeout", "60s", "--netns", &namespace.name],
            more,
        ]
        .concat(),
    )
}

#[test]
fn what_a_service_would_revert_is_refused_with_every_way_out() {
    let (namespace, service) = kept(&[]);
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.yaml");
    fs::write(&other, OTHER).unwrap();
    for (code, said) in [apply(&namespace, &other, &[]), release(&namespace, &[])] {
        assert_eq!(code, 1, "{said}");
        let service = format!("netkeel run (pid {})", pid(&namespace));
        // A service of a namespace is no unit of systemd.
        let stop = format!("stop the service: kill {}", pid(&namespace));
        for told in [
            &service,
            "of the owner default",
            "edit its document: ",
            &stop,
            "--pause 1h",
        ] {
            assert!(said.contains(told), "{told}: {said}");
        }
    }
    assert_eq!(facts(&namespace, "cali1"), "1460\n1\n");
    // Another owner's facts are nothing to this service.
    let text = "version: 1\nowner: other\npersist: no\nsysctl: { net.ipv4.ip_forward: 1 }\n";
    fs::write(&other, text).unwrap();
    let (code, said) = apply(&namespace, &other, &[]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = release(&namespace, &["--owner", "other"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn the_document_of_the_service_is_applied_also_when_it_was_written_just_now() {
    let (namespace, service) = kept(&[]);
    let (code, said) = apply(&namespace, &service.document, &[]);
    assert_eq!(code, 0, "{said}");
    for mtu in [1400, 1300] {
        service.write(&PODS.replace("1460", &mtu.to_string()));
        let start = Instant::now();
        until("the service has read it", || {
            let begun = Instant::now();
            let (code, said) = apply(&namespace, &service.document, &[]);
            // An apply waits for two seconds until the service has read it, which a busy machine may not do by then.
            let waited = begun.elapsed() >= Duration::from_secs(2) && start.elapsed() < SOON;
            assert!(code == 0 || waited, "{said}");
            code == 0
        });
        assert_eq!(facts(&namespace, "cali1"), format!("{mtu}\n1\n"));
    }
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_pause_lets_a_change_last_and_ends_with_one_that_fails() {
    let (namespace, service) = kept(&[]);
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.yaml");
    let paused = || {
        let (_, text) = netkeel(&["status", "--netns", &namespace.name]);
        text.contains("PAUSED")
    };
    fs::write(&other, format!("{OTHER}sysctl: {{ net.ipv4.no_such_key: 1 }}\n")).unwrap();
    let (code, said) = apply(&namespace, &other, &["--pause", "1h"]);
    assert_eq!((code, paused()), (1, false), "{said}");
    fs::write(&other, OTHER).unwrap();
    let (code, said) = apply(&namespace, &other, &["--pause", "1h"]);
    assert_eq!((code, paused()), (0, true), "{said}");
    assert!(said.contains("then it enforces its document again"), "{said}");
    looked(&namespace);
    assert_eq!(facts(&namespace, "cali1"), "1400\n1\n");
    let (code, said) = release(&namespace, &[]);
    assert_eq!(code, 0, "a service that is paused reverts nothing yet: {said}");
    assert!(said.contains("is paused until"), "{said}");
    let (code, said) = netkeel(&["pause", "--end", "--netns", &namespace.name]);
    assert_eq!(code, 0, "{said}");
    until("the service enforces its document again", || {
        facts(&namespace, "cali1") == "1460\n1\n"
    });
    assert_eq!(service.stop().0, 0);
}

/// The pause during which it was applied may end before it is confirmed.
#[test]
fn a_confirmation_that_a_service_would_revert_is_refused_or_pauses_it() {
    let (namespace, service) = kept(&[]);
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.yaml");
    fs::write(&other, OTHER).unwrap();
    let run = |arguments: &[&str]| netkeel(&[arguments, &["--netns", &namespace.name]].concat());
    let paused = || run(&["status"]).1.contains("PAUSED");
    let service_here = format!("netkeel run (pid {})", pid(&namespace));
    let (code, said) = run(&["pause", "5s"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = apply(&namespace, &other, &["--confirm-within", "300s"]);
    assert_eq!(code, 0, "{said}");
    until("the pause is over", || !paused());
    let (code, said) = run(&["confirm"]);
    assert_eq!(code, 1, "{said}");
    for told in [
        &service_here,
        "--pause 1h",
        "they are rolled back when their time is over",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let (code, said) = run(&["confirm", "--pause", "1h"]);
    assert!(code == 0 && said.contains("is paused until"), "{said}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(facts(&namespace, "cali1"), "1400\n1\n");
    // The pause of an apply lasts beyond its confirmation.
    let (code, said) = run(&["pause", "--end"]);
    assert_eq!(code, 0, "{said}");
    until("the service enforces its document again", || {
        facts(&namespace, "cali1") == "1460\n1\n"
    });
    let within = ["--pause", "1s", "--confirm-within", "300s"];
    let (code, said) = apply(&namespace, &other, &within);
    assert_eq!(code, 0, "{said}");
    std::thread::sleep(Duration::from_secs(2));
    let (code, said) = run(&["confirm"]);
    assert_eq!((code, paused()), (0, true), "{said}");
    assert_eq!(facts(&namespace, "cali1"), "1400\n1\n");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn an_undo_beside_a_service_of_the_same_owner_is_refused_or_pauses_it() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let directory = tempfile::tempdir().unwrap();
    let by_hand = directory.path().join("by-hand.yaml");
    let apply_by_hand = |text: &str| {
        fs::write(&by_hand, text).unwrap();
        let (code, said) = apply(&namespace, &by_hand, &[]);
        assert_eq!(code, 0, "{said}");
    };
    let undo = |more: &[&str]| {
        netkeel(
            &[
                &["undo", "--lock-timeout", "60s", "--netns", &namespace.name],
                more,
            ]
            .concat(),
        )
    };
    let before = facts(&namespace, "cali1");
    apply_by_hand(PODS);
    let mut service = Daemon::start(&namespace, PODS, &[]);
    service.wait_for("event=full-scan");
    let (code, said) = undo(&[]);
    assert_eq!(code, 1, "{said}");
    let service_here = format!("netkeel run (pid {})", pid(&namespace));
    for told in [
        &service_here,
        "of the owner default",
        "edit its document: ",
        "--pause 1h",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert_eq!(facts(&namespace, "cali1"), "1460\n1\n");
    // Another owner's apply is nothing to this service.
    apply_by_hand("version: 1\nowner: other\npersist: no\nsysctl: { net.ipv4.ip_forward: 1 }\n");
    let (code, said) = undo(&[]);
    assert!(code == 0 && said.contains("owner other"), "{said}");
    let (code, said) = undo(&["--pause", "1h"]);
    assert!(code == 0 && said.contains("is paused until"), "{said}");
    looked(&namespace);
    assert_eq!(facts(&namespace, "cali1"), before);
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_service_that_writes_nothing_or_was_killed_refuses_nothing() {
    let (namespace, service) = kept(&["--mode", "observe"]);
    let (code, said) = release(&namespace, &[]);
    assert!(code == 1 && said.contains("holds nothing"), "{said}");
    drop(service);
    let service = Daemon::start(&namespace, PODS, &[]);
    until("the service works", || facts(&namespace, "cali1") == "1460\n1\n");
    service.signal("KILL");
    service.ended();
    let (code, said) = release(&namespace, &[]);
    assert_eq!(code, 0, "{said}");
    assert_ne!(facts(&namespace, "cali1"), "1460\n1\n");
}

/// `ip netns exec` leaves a program with the files of the host, and may leave it without a look at PID 1.
#[test]
fn a_program_in_another_namespace_plans_no_file_of_the_host() {
    let namespace = Namespace::new();
    let directory = tempfile::tempdir().unwrap();
    let document = directory.path().join("document.yaml");
    let plan = |text: &str| {
        fs::write(&document, text).unwrap();
        let (code, said) = netkeel_inside(&namespace, &["plan", "-f", document.to_str().unwrap()]);
        // Findings are in lines of 80 characters.
        (code, said.replace("\n  ", " "))
    };
    let (code, said) = plan("version: 1\nsysctl: { net.ipv4.tcp_ecn: 1 }\n");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("net.ipv4.tcp_ecn"), "{said}");
    assert!(!said.contains("file /etc/sysctl.d/"), "{said}");
    // Nor where it is PID 1 itself, or a child of one.
    let name = namespace.name.as_str();
    let of_pid_1 = [
        "netns",
        "exec",
        name,
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        program(),
    ];
    let plan_as_pid_1 = ["plan", "-f", document.to_str().unwrap()];
    let done = std::process::Command::new("ip")
        .args(of_pid_1)
        .args(plan_as_pid_1)
        .output();
    let said = String::from_utf8(done.unwrap().stdout).unwrap();
    assert!(said.contains("net.ipv4.tcp_ecn"), "{said}");
    assert!(!said.contains("file /etc/sysctl.d/"), "{said}");
    for text in [
        "version: 1\npersist: yes\nsysctl: { net.ipv4.tcp_ecn: 1 }\n",
        "version: 1\nallow_any_sysctl: yes\nsysctl: { vm.swappiness: 10 }\n",
        "version: 1\ncni: { pods: { plugin: calico, mtu: 1460 } }\n",
    ] {
        let (code, said) = plan(text);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("warning NK028"), "{said}");
        assert!(said.contains("the network namespace of the host"), "{said}");
        assert!(!said.contains("file /etc/"), "{said}");
    }
}
