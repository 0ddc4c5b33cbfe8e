//! The answers of the service: the status, a pause, the metrics and the health.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use super::daemon::{Daemon, PODS, netkeel, settled, status};
use super::namespace::Namespace;
use super::{SOON, facts, until};

fn passes(namespace: &Namespace) -> u64 {
    status(namespace)["counters"]["passes"].as_u64().unwrap()
}

/// A port that was free a moment ago, of those that the kernel gives to nobody by itself, and no other test of this
/// process has it.
pub fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// The answer for a path, once somebody listens.
pub fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address);
    until("somebody listens", || {
        stream.is_ok() || {
            stream = TcpStream::connect(address);
            stream.is_ok()
        }
    });
    let mut stream = stream.unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn its_own_writes_wake_nobody() {
    let namespace = Namespace::new();
    let mut service = Daemon::start(&namespace, PODS, &[]);
    service.wait_for("event=full-scan");
    let before = passes(&namespace);
    // The events of a new interface may cause a second scan. A write of netkeel to it does not, nor does a write
    // by anybody that leaves the values as wanted.
    namespace.sh("ip link add cali1 type veth peer name eth1");
    until("it is right", || facts(&namespace, "cali1") == "1460\n1\n");
    let settled = || settled(Duration::from_secs(2), || passes(&namespace));
    let came = settled();
    assert!(came - before <= 3, "{} passes for one interface", came - before);
    namespace.sh("ip link set cali1 mtu 1400");
    until("it is put back", || facts(&namespace, "cali1") == "1460\n1\n");
    assert_eq!(settled() - came, 1, "one change, one pass, and then it is quiet");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn the_status_tells_the_document_what_differs_and_what_was_done() {
    let namespace = Namespace::new();
    let (code, text) = netkeel(&["status", "--netns", &namespace.name]);
    assert_eq!(
        (code, text.contains("the netkeel service is not running")),
        (1, true),
        "{text}"
    );
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let mut service = Daemon::start(&namespace, PODS, &["--mode", "observe"]);
    service.wait_for("event=full-scan");
    until("what differs is told", || {
        status(&namespace)["drift"].as_array().unwrap().len() == 2
    });
    let told = status(&namespace);
    assert_eq!(told["drift"][1]["fact"], "link cali1 mtu");
    assert_eq!(
        (&told["drift"][1]["observed"], &told["drift"][1]["desired"]),
        (&"1500".into(), &"1460".into())
    );
    assert_eq!((&told["mode"], &told["wanted"]), (&"observe".into(), &2.into()));
    // There can be only one.
    let second = Daemon::start(&namespace, PODS, &[]);
    let (code, log) = second.ended();
    assert!(
        code == 1 && log.contains("another service runs here"),
        "{code} {log}"
    );
    // It goes with its interface.
    namespace.sh("ip link del cali1");
    until("nothing differs", || {
        status(&namespace)["drift"].as_array().unwrap().is_empty()
    });
    service.write("version: 1\nlink: 5\n");
    service.wait_for("event=document-rejected");
    let (_, text) = netkeel(&["status", "--netns", &namespace.name]);
    assert!(text.contains("a newer document was REJECTED"), "{text}");
    assert_eq!(service.stop().0, 0);
    assert_eq!(netkeel(&["status", "--netns", &namespace.name]).0, 1);
}

#[test]
fn a_pause_holds_across_a_restart_and_ends() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let (code, text) = netkeel(&[
        "pause",
        "1h",
        "--reason",
        "upgrade of \"the\" CNI",
        "--netns",
        &namespace.name,
    ]);
    assert!(code == 0 && text.contains("The service is not running"), "{text}");
    let mut service = Daemon::start(&namespace, PODS, &[]);
    service.wait_for("event=paused");
    service.wait_for("event=full-scan");
    let told = status(&namespace);
    assert_eq!(
        told["drift"].as_array().unwrap().len(),
        2,
        "it looks all the same: {told}"
    );
    assert!(
        told["paused"]["by"]
            .as_str()
            .unwrap()
            .contains("netkeel pause 1h"),
        "{told}"
    );
    assert_eq!(told["paused"]["reason"], "upgrade of \"the\" CNI");
    let shown = netkeel(&["status", "--netns", &namespace.name]).1;
    assert!(
        shown.contains("\n    reason: upgrade of \"the\" CNI\n"),
        "{shown}"
    );
    assert_eq!(facts(&namespace, "cali1"), "1500\n0\n");
    let (_, log) = service.stop();
    assert!(log.contains("reason="), "{log}");
    let mut again = Daemon::start(&namespace, PODS, &[]);
    again.wait_for("event=paused");
    assert_eq!(
        netkeel(&["pause", "--end", "--netns", &namespace.name]).1,
        "The pause has ended.\n"
    );
    until("it is right", || facts(&namespace, "cali1") == "1460\n1\n");
    // One that ends by itself.
    assert_eq!(netkeel(&["pause", "1s", "--netns", &namespace.name]).0, 0);
    again.wait_for("event=paused");
    namespace.sh("ip link set cali1 mtu 1400");
    until("it is in sync when the time is over", || {
        facts(&namespace, "cali1") == "1460\n1\n"
    });
    assert_eq!(again.stop().0, 0);
}

#[test]
fn the_metrics_name_the_causes_of_lost_packets() {
    let namespace = Namespace::new();
    // As `iptables-restore` writes a policy, with its count.
    namespace.sh("ip link set lo up
        ip link add cali1 type veth peer name eth1
        printf '*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n' | iptables-nft-restore");
    let address = free_port();
    let options = ["--listen", &address.to_string(), "--interval", "10s"];
    let mut service = Daemon::start(&namespace, PODS, &options);
    service.wait_for("event=full-scan");
    let start = Instant::now();
    let metrics = loop {
        namespace.sh("ping -c 5 -i 0.2 -W 1 127.0.0.1 >/dev/null || true");
        let metrics = get(address, "/metrics");
        if metrics.contains("netkeel_doctor_cause{cause=\"firewall\",grounds=\"possible\"} 1") {
            break metrics;
        }
        assert!(start.elapsed() < Duration::from_secs(300), "{metrics}");
    };
    let said = netkeel(&["status", "--netns", &namespace.name]).1;
    let told = format!(
        "packets may be lost: firewall (possible); `netkeel doctor --netns {}` has the evidence\n",
        namespace.name
    );
    assert!(said.contains(&told), "{said}");
    let lost = metrics
        .lines()
        .find_map(|line| line.strip_prefix("netkeel_doctor_lost_total{cause=\"firewall\"} "));
    assert!(lost.unwrap().parse::<u64>().unwrap() >= 5, "{metrics}");
    let window = metrics
        .lines()
        .find_map(|line| line.strip_prefix("netkeel_doctor_window_seconds "));
    assert!(window.unwrap().parse::<f64>().unwrap() >= 9.0, "{metrics}");
    assert_eq!(service.stop().0, 0);
}

#[test]
fn metrics_and_health_are_scraped_also_beside_those_who_only_connect() {
    let namespace = Namespace::new();
    namespace.sh("ip link add cali1 type veth peer name eth1");
    let address = free_port();
    let mut service = Daemon::start(&namespace, PODS, &["--listen", &address.to_string()]);
    service.wait_for("event=full-scan");
    until("it is healthy", || {
        get(address, "/healthz").starts_with("HTTP/1.1 200 OK")
    });
    // A hundred who say nothing, or never end.
    let idle: Vec<TcpStream> = (0..100)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            let half: &[u8] = if number % 2 == 0 {
                b""
            } else {
                b"GET /metrics HTTP/1.1\r\nX: "
            };
            let _ = stream.write_all(half);
            stream
        })
        .collect();
    let metrics = get(address, "/metrics");
    for line in [
        "netkeel_drift_facts{kind=\"link\"} 0",
        "netkeel_interfaces{class=\"veth\",rule=\"link.pods\",mtu=\"1460\",desired=\"1460\"} 1",
        "netkeel_interfaces_differing{class=\"veth\",rule=\"link.pods\"} 0",
        "netkeel_applies_total 1",
        "netkeel_writes_total 2",
        "netkeel_paused 0",
        "netkeel_healthy 1",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line}\n{metrics}");
    }
    assert!(
        get(address, "/status").starts_with("HTTP/1.1 404"),
        "root's only, by another way"
    );
    drop(idle);
    // As those see it who check such things.
    let text = metrics.split_once("\r\n\r\n").unwrap().1;
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("this test needs promtool (Debian: prometheus)");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(service.stop().0, 0);
}

#[test]
fn an_interface_that_a_match_finds_has_series_only_with_the_option() {
    for (more, is_shown) in [(None, false), (Some("--metrics-per-interface"), true)] {
        let namespace = Namespace::new();
        namespace.sh("ip link add cali1 type veth peer name eth1");
        let address = free_port().to_string();
        let options: Vec<&str> = ["--listen", &address].into_iter().chain(more).collect();
        let mut service = Daemon::start(&namespace, PODS, &options);
        service.wait_for("event=full-scan");
        let metrics = get(address.parse().unwrap(), "/metrics");
        let series = "netkeel_interface_mtu_bytes{device=\"cali1\"} 1460";
        assert_eq!(metrics.contains(series), is_shown, "{metrics}");
        assert_eq!(service.stop().0, 0);
    }
}
