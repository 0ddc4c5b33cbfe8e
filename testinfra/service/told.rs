//! The log, the status and the history of a service: drift, changes with their old values, and rejected documents.

use std::process::Command;

use super::daemon::{Daemon, PODS, netkeel, program};
use super::namespace::Namespace;

/// Runs a verb in a namespace.
fn run(namespace: &Namespace, arguments: &[&str]) -> (i32, String) {
    let place = ["--netns", &namespace.name];
    netkeel(&[arguments, &place].concat())
}

#[test]
fn drift_is_logged_when_it_appears_and_when_it_ends() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let mut service = Daemon::start(&namespace, PODS, &["--mode", "observe"]);
    service.wait_for("event=drift-found count=2 facts=\"link cali1 rp_filter: 0 (off) -> 1 (strict); link cali1 mtu: 1500 -> 1460\"");
    namespace.sh("ip link set cali1 mtu 1460");
    service.wait_for("event=drift-ended count=1 facts=\"link cali1 mtu\"");
    namespace.sh("ip link set cali1 mtu 1400");
    service.wait_for("event=drift-found count=1 facts=\"link cali1 mtu: 1400 -> 1460\"");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn an_apply_is_logged_with_old_and_new_values_and_a_file_by_its_first_line() {
    let namespace = Namespace::new();
    for number in 1..=3 {
        namespace.sh(&format!(
            "ip link add cali{number} type veth peer name eth{number}"
        ));
    }
    let mut service = Daemon::start(&namespace, PODS, &[]);
    service.wait_for("link cali1 mtu: 1500 -> 1460");
    service.wait_for("event=full-scan");
    let (code, said) = run(&namespace, &["status", "--fail"]);
    assert_eq!(code, 0, "{said}");
    service.write("version: 1\nlink: 5\nsysctl: 7\n");
    service.wait_for("event=document-rejected");
    let (_, said) = run(&namespace, &["status"]);
    assert!(said.contains("REJECTED"), "{said}");
    let (code, said) = run(&namespace, &["status", "--fail"]);
    assert_eq!(code, 2, "{said}");
    let (_, log) = service.stop();
    let applied = log.lines().find(|line| line.contains("event=applied")).unwrap();
    assert!(applied.contains("; and 2 more\""), "{applied}");
    let rejected = log
        .lines()
        .find(|line| line.contains("event=document-rejected"))
        .unwrap();
    assert!(
        rejected.contains("more lines]\" see=\"netkeel status\""),
        "{rejected}"
    );
    assert!(!rejected.contains("\\n"), "{rejected}");
}

#[test]
fn the_history_names_what_was_changed_released_and_rolled_back() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let scratch = tempfile::tempdir().unwrap();
    let document = scratch.path().join("document.yaml");
    std::fs::write(&document, PODS).unwrap();
    let document = document.to_str().unwrap();
    // A target that does not answer cannot tell whether the apply cuts it off.
    let (code, said) = run(
        &namespace,
        &["apply", "-f", document, "--verify-reach", "127.0.0.1"],
    );
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("127.0.0.1 does not answer before the apply; nothing was written"),
        "{said}"
    );
    let (code, said) = run(&namespace, &["apply", "-f", document, "--confirm-within", "600s"]);
    assert_eq!(code, 0, "{said}");
    // The hint can be pasted.
    let hint = said.split("keep the changes with `").nth(1).unwrap();
    let hint = hint.split('`').next().unwrap();
    assert_eq!(hint, format!("netkeel confirm --netns {}", namespace.name));
    assert!(said.contains(" UTC, in "), "{said}");
    let pasted = hint.replacen("netkeel", program(), 1);
    assert!(
        Command::new("sh")
            .args(["-c", &pasted])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(run(&namespace, &["release"]).0, 0);
    assert_eq!(
        run(&namespace, &["apply", "-f", document, "--confirm-within", "600s"]).0,
        0
    );
    assert_eq!(run(&namespace, &["recover"]).0, 0);
    let (_, history) = run(&namespace, &["history"]);
    let entries: Vec<&str> = history.lines().filter(|line| !line.starts_with(' ')).collect();
    let events: Vec<&str> = entries
        .iter()
        .map(|line| line.rsplit("  ").next().unwrap())
        .collect();
    assert!(events[0].starts_with("rolled back: "), "{history}");
    assert!(
        events[1].starts_with("applied, to be confirmed (ROLLED BACK later, see "),
        "{history}"
    );
    assert_eq!(
        events[2..],
        ["applied", "confirmed", "applied, to be confirmed"],
        "{history}"
    );
    assert!(history.contains("owner default, release, 2 writes"), "{history}");
    assert!(
        history.contains("      link cali1 mtu: 1500 -> 1460\n"),
        "{history}"
    );
    assert!(
        history.contains("      link cali1 mtu: 1460 -> 1500\n"),
        "{history}"
    );
    // One entry by its ID, and a shorter list.
    let id = entries[2].split("  ").nth(1).unwrap();
    let (_, one) = run(&namespace, &["history", id, "--commands"]);
    assert_eq!(
        one.lines()
            .filter(|line| !line.starts_with(' '))
            .collect::<Vec<_>>(),
        [entries[2]]
    );
    assert!(one.contains("      $ ip "), "{one}");
    let number = |arguments: &[&str]| {
        let (_, list) = run(&namespace, arguments);
        list.lines().filter(|line| line.contains(" UTC  ")).count()
    };
    assert_eq!(number(&["history", "--limit", "2"]), 2);
    assert_eq!(number(&["history", "--since", "1h"]), 5);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(number(&["history", "--since", "1s"]), 0);
    let (code, said) = run(&namespace, &["history", "nothing"]);
    assert!(
        code == 1 && said.contains("there is no entry `nothing`"),
        "{said}"
    );
}

#[test]
fn a_changed_interface_does_not_take_the_place_of_the_first_full_scan() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1; ip link set cali1 up; ip link set eth1 up");
    namespace.sh("ip address add 192.0.2.1/24 dev eth1; ip route add default via 192.0.2.2");
    // The MTU depends on other interfaces: a pass over one reads the whole host.
    let document = |number: usize| {
        format!(
            "version: 1\nsysctl: {{ net.ipv4.tcp_base_mss: {} }}\nlink:\n  pods: {{ match: {{ name: \"cali*\" }}, \
             mtu: {{ underlay: default-route, layers: [ipip] }}, pod_mtu: leave }}\n",
            600 + number
        )
    };
    let mut service = Daemon::start(&namespace, &document(0), &["--interval", "1h"]);
    service.wait_for("event=full-scan");
    // More documents than full scans are permitted at one time.
    for number in 1..=6 {
        service.write(&document(number));
        service.wait_for("event=loaded");
        namespace.sh("ip link set cali1 mtu 1400");
    }
    let scanned = || run(&namespace, &["status", "--output", "json"]).1;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !scanned().contains("\"looked\": true") {
        assert!(std::time::Instant::now() < end, "{}", scanned());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
