//! Probes that the service repeats: a router that begins to drop large packets, and a target that does not answer.

use serde_json::{Value, json};

use super::asked::{free_port, get};
use super::daemon::{Daemon, netkeel, status};
use super::namespace::Namespace;
use super::until;

/// A host, and a target behind a router.
fn path() -> [Namespace; 3] {
    let [host, router, target] = [(); 3].map(|()| Namespace::new());
    host.sh(&format!(
        "ip link add eth0 type veth peer name near netns {0} && ip link set eth0 up && ip address add 192.0.2.1/30 dev eth0
         ip route add default via 192.0.2.2",
        router.name
    ));
    router.sh(&format!(
        "sysctl -qw net.ipv4.ip_forward=1
         ip link set near up && ip address add 192.0.2.2/30 dev near
         ip link add far type veth peer name eth0 netns {0} && ip link set far up && ip address add 192.0.2.5/30 dev far",
        target.name
    ));
    target.sh(
        "ip link set eth0 up && ip address add 192.0.2.6/30 dev eth0 && ip route add default via 192.0.2.5",
    );
    [host, router, target]
}

const DOCUMENT: &str = "version: 1
persist: no
probes:
  large: { path_mtu: 192.0.2.6, protocol: icmp, expect: 1500 }
  small: { path_mtu: 192.0.2.6, protocol: icmp, expect: 1400 }
  nobody: { ipip: 192.0.2.6, service: 203.0.113.9, port: 80 }
";

/// The results by name.
fn results(namespace: &Namespace) -> Vec<Value> {
    let status = status(namespace);
    let mut results = status["probes"].as_array().cloned().unwrap_or_default();
    for result in &mut results {
        result.as_object_mut().unwrap().remove("at");
    }
    results
}

#[test]
fn a_path_that_breaks_is_told_and_a_target_that_is_silent_is_unknown() {
    let [host, router, target] = path();
    target.sh("nft 'add table ip quiet; add chain ip quiet input { type filter hook input priority 0; }; add rule ip quiet input ip protocol 4 drop'");
    let address = free_port();
    let listen = ["--interval", "1s", "--listen", &address.to_string()];
    let mut service = Daemon::start(&host, DOCUMENT, &listen);
    service.wait_for("event=probe-ok probe=large result=\"path MTU 1500\"");
    service.wait_for("event=probe-unknown probe=nobody");
    let carries = |name: &str| json!({"name": name, "outcome": "carries", "mtu": 1500, "as_expected": true});
    let silent = json!({"name": "nobody", "outcome": "silent", "as_expected": null});
    until("all have a result", || {
        results(&host) == [carries("large"), silent.clone(), carries("small")]
    });
    let metrics = get(address, "/metrics");
    for line in [
        "netkeel_probe_state{probe=\"large\",state=\"ok\"} 1",
        "netkeel_probe_state{probe=\"nobody\",state=\"unknown\"} 1",
        "netkeel_probe_state{probe=\"nobody\",state=\"failed\"} 0",
        "netkeel_probe_measured_bytes{probe=\"small\"} 1500",
        "netkeel_healthy 1",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} in {metrics}");
    }
    assert!(!metrics.contains("netkeel_probe_measured_bytes{probe=\"nobody\"}"));

    // A smaller link that is reported is no black hole: only what is expected of it decides.
    router.sh("ip link set far mtu 1450");
    target.sh("ip link set eth0 mtu 1450");
    service.wait_for("event=probe-failed probe=large result=\"path MTU 1450\"");
    until("both are told", || {
        let text = netkeel(&["status", "--netns", &host.name]).1;
        text.contains("probe large: NOT as expected: carries, mtu 1450, at ")
            && text.contains("probe small: as expected: carries, mtu 1450, at ")
    });

    // A changed document has its own results; those of others stay.
    service.write(&DOCUMENT.replace("expect: 1500", "expect: 1450"));
    service.wait_for("event=probe-ok probe=large");
    service.write("version: 1\nsysctl: {}\n");
    until("the probes are gone", || results(&host).is_empty());
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_host_that_does_not_answer_delays_neither_events_nor_the_end() {
    let [host, _router, target] = path();
    target.sh("nft 'add table ip quiet; add chain ip quiet drops { type filter hook input priority 0; }; add rule ip quiet drops drop'");
    host.sh("ip link add cali1 type veth peer name eth1");
    // One after the other they take longer than all else here.
    let probes: String = (10..40)
        .map(|number| format!("  p{number}: {{ path_mtu: 192.0.2.6, protocol: icmp, expect: 1500 }}\n"))
        .collect();
    let document = format!("version: 1\npersist: no\nlink: {{ cali1: {{ mtu: 1460 }} }}\nprobes:\n{probes}");
    let mut service = Daemon::start(&host, &document, &[]);
    service.wait_for("event=full-scan");
    let mtu = || host.sh("cat /sys/class/net/cali1/mtu");
    let ended = || {
        let results = results(&host);
        let ended = results.iter().filter(|result| result.get("outcome").is_some());
        (ended.count(), results.len())
    };
    // Where events waited for probes, one would end before each of these ends.
    let during = (0..5).filter(|_| {
        let before = ended();
        host.sh("ip link set cali1 mtu 1500");
        until("its MTU is put back", || mtu() == "1460\n");
        let now = ended();
        now == before && now.0 < now.1
    });
    assert!(during.count() > 0, "events wait until a probe has ended");
    let (start, before) = (std::time::Instant::now(), ended());
    assert!(before.0 < before.1, "all probes have ended: {before:?}");
    assert_eq!(service.stop().0, 0);
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}
