//! The worker that replicates, as the service keeps it.

use serde_json::Value;

use super::daemon::{Daemon, netkeel, status};
use super::namespace::Namespace;
use super::until;

const DOCUMENT: &str = "version: 1
nflog:
  packet-too-big: { interfaces: [eth0], group: 33 }
replicate:
  nflog: packet-too-big
  peers: [192.0.2.1, 192.0.2.2]
";

fn worker(namespace: &Namespace) -> Value {
    status(namespace)["worker"].clone()
}

/// A plan with each finding on one line instead of lines of 80 characters.
fn unwrapped(plan: &str) -> String {
    plan.replace("\n  ", " ")
}

#[test]
fn who_observes_or_runs_dry_says_so_and_names_what_is_missing() {
    let namespace = Namespace::new();
    namespace.sh("ip link add eth0 type veth peer name eth1; ip address add 192.0.2.1/24 dev eth0; ip link set eth0 up");
    for (options, option) in [
        (&["--mode", "observe"][..], "--mode observe"),
        (&["--dry-run"], "--dry-run"),
    ] {
        let mut service = Daemon::start(&namespace, DOCUMENT, options);
        service.wait_for("event=full-scan");
        let document = service.document.display().to_string();
        let (code, text) = netkeel(&["plan", "-f", &document, "--netns", &namespace.name]);
        assert_eq!(code, 0, "{text}");
        let text = unwrapped(&text);
        assert!(
            text.contains(&format!("the service runs with {option}")),
            "{text}"
        );
        assert!(!text.contains("other values"), "{text}");
        service.write(&DOCUMENT.replace("192.0.2.1, 192.0.2.2", "192.0.2.1, 203.0.113.9"));
        until("it is told who cannot be reached", || {
            let worker = worker(&namespace);
            let why = worker["error"].as_str().unwrap_or_default().to_owned();
            why == "no peer can be reached: 203.0.113.9 is no-route"
        });
        let rules = namespace.sh("nft list ruleset");
        assert_eq!(rules.contains("log group 33"), option == "--dry-run", "{rules}");
        assert_eq!(service.stop().0, 0);
    }
}

#[test]
fn the_worker_is_started_told_started_again_and_stopped() {
    let (node, _peer) = with_a_peer();
    let mut service = Daemon::start(&node, DOCUMENT, &[]);
    service.wait_for("event=full-scan");
    until("it replicates", || worker(&node)["health"] == "ok");
    let first = worker(&node)["pid"].as_u64().unwrap();
    // It is known as netkeel's own to whoever looks who reads the group, and does as declared.
    let document = service.document.display().to_string();
    let plan = |document: &str| {
        let (code, text) = netkeel(&["plan", "-f", document, "--netns", &node.name]);
        assert_eq!(code, 0, "{text}");
        unwrapped(&text)
    };
    let text = plan(&document);
    assert!(!text.contains("NK03"), "{text}");
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.yaml").display().to_string();
    std::fs::write(&other, DOCUMENT.replace("peers:", "ttl: 8\n  peers:")).unwrap();
    let text = plan(&other);
    assert!(text.contains("with other values of ttl"), "{text}");
    let killed = std::process::Command::new("kill")
        .args(["-s", "KILL", &first.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    until("it was started again", || {
        let worker = worker(&node);
        worker["health"] == "ok" && worker["pid"] != first && worker["restarts"] == 1
    });
    let second = worker(&node)["pid"].as_u64().unwrap();
    // Another document is told to the one that runs.
    service.write(&DOCUMENT.replace("192.0.2.2]", "192.0.2.2, 192.0.2.3]"));
    until("it has three peers", || {
        let worker = worker(&node);
        worker["statistics"]["peers"]
            .as_array()
            .is_some_and(|peers| peers.len() == 3)
            && worker["pid"] == second
    });
    let text = netkeel(&["status", "--netns", &node.name]).1;
    assert!(text.contains("peer 192.0.2.2: ready"), "{text}");
    service.write("version: 1\n");
    until("it is not wanted any more", || worker(&node).is_null());
    service.wait_for("event=loaded");
    let text = plan(&other);
    assert!(text.contains("the running service has no worker"), "{text}");
    assert_eq!(service.stop().0, 0);
    let text = plan(&other);
    assert!(text.contains("the netkeel service is not running"), "{text}");
    for pid in [first, second] {
        until("the worker has ended with the service", || {
            !std::path::Path::new(&format!("/proc/{pid}")).exists()
        });
    }
}

/// A node with a peer on eth0.
fn with_a_peer() -> (Namespace, Namespace) {
    let (node, peer) = (Namespace::new(), Namespace::new());
    node.sh(&format!(
        "ip link add eth0 type veth peer name eth0 netns {}",
        peer.name
    ));
    for (namespace, address) in [(&node, "192.0.2.1/24"), (&peer, "192.0.2.2/24")] {
        namespace.sh(&format!(
            "ip address add {address} dev eth0; ip link set eth0 up; ip link set lo up"
        ));
    }
    (node, peer)
}

#[test]
fn copies_that_the_kernel_drops_degrade_replication() {
    let (node, _peer) = with_a_peer();
    node.sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up; ip route add default dev up0; sysctl -qw net.ipv4.conf.eth0.rp_filter=1");
    let mut service = Daemon::start(&node, DOCUMENT, &[]);
    service.wait_for("event=finding code=NK039 subject=eth0");
    until("replication is degraded", || {
        worker(&node)["health"] == "degraded"
    });
    let why = worker(&node)["error"].as_str().unwrap().to_owned();
    assert!(
        why.starts_with("NK039 eth0: IPv4 copies of peers arrive by it and are dropped"),
        "{why}"
    );
    let fail = || netkeel(&["status", "--fail", "--netns", &node.name]).0;
    assert_eq!(fail(), 2);
    service.write(&format!("{DOCUMENT}link:\n  eth0: {{ rp_filter: off }}\n"));
    until("it is good", || worker(&node)["health"] == "ok");
    assert_eq!(fail(), 0);
}

#[test]
fn rules_follow_the_default_route_and_interfaces_that_a_pattern_finds() {
    const LOGGING: &str = "version: 1\nnflog:\n  first: { interfaces: [default-route] }\n";
    let namespace = Namespace::new();
    namespace.sh("for n in 1 2; do ip link add eth$n type veth peer name p$n; ip link set eth$n up; ip link set p$n up; done; ip route add default dev eth1");
    let mut service = Daemon::start(&namespace, LOGGING, &[]);
    let ours = || namespace.sh("nft -s list table inet netkeel 2>/dev/null || true");
    until("its rules are there", || ours().contains("\"eth1\""));
    namespace.sh("ip route replace default dev eth2");
    until("they follow the default route", || {
        ours().contains("\"eth2\"") && !ours().contains("\"eth1\"")
    });
    service.write(&LOGGING.replace("default-route", "default-route, \"wan*\""));
    service.wait_for("event=loaded");
    namespace.sh("ip link add wan7 type veth peer name p7");
    until("a new interface is covered", || ours().contains("\"wan7\""));
}
