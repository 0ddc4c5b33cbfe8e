//! A service that may not enter pods sets neither end of their veths: one end alone would drop packets.

use std::process::Command;
use std::time::{Duration, Instant};

use super::daemon::{Daemon, PODS, netkeel_inside, program};
use super::namespace::Namespace;
use super::{facts, until};

/// A host with a pod: cali1 leads to the pod's eth0.
fn host_and_pod() -> (Namespace, Namespace) {
    let (host, pod) = (Namespace::new(), Namespace::new());
    host.sh(&format!(
        "ip link add cali1 type veth peer name eth0 netns {}",
        pod.name
    ));
    (host, pod)
}

fn mtu(namespace: &Namespace, link: &str) -> String {
    namespace.sh(&format!("cat /sys/class/net/{link}/mtu"))
}

/// The program in the host's namespace, without a capability that root has otherwise.
fn without_capability(host: &Namespace) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &host.name, "setpriv"]);
    command.args([
        "--bounding-set=-sys_admin",
        "--inh-caps=-sys_admin",
        program(),
        "run",
    ]);
    command
}

#[test]
fn neither_end_is_set_without_permission_to_enter_the_pod() {
    let (host, pod) = host_and_pod();
    let mut service = Daemon::spawn(without_capability(&host), PODS, &[]);
    let line = service.wait_for("event=pods-unreachable");
    assert!(line.contains("pods=1"), "{line}");
    // The rest of the interface is kept, and a pod that comes later is no exception.
    until("the other settings are right", || {
        facts(&host, "cali1") == "1500\n1\n"
    });
    host.sh(&format!(
        "ip link add cali2 type veth peer name eth1 netns {}",
        pod.name
    ));
    until("the other settings are right", || {
        facts(&host, "cali2") == "1500\n1\n"
    });
    // What it puts right now it does after it has looked at both.
    for link in ["cali1", "cali2"] {
        host.sh(&format!("echo 0 > /proc/sys/net/ipv4/conf/{link}/rp_filter"));
        until("they are put right again", || facts(&host, link) == "1500\n1\n");
    }
    for (namespace, link) in [(&host, "cali1"), (&host, "cali2"), (&pod, "eth0"), (&pod, "eth1")] {
        assert_eq!(mtu(namespace, link), "1500\n", "{link}");
    }
    until("both are told", || {
        let (_, status) = netkeel_inside(&host, &["status"]);
        status.contains("2 pods out of reach")
    });
    assert_eq!(service.stop().0, 0);

    // With permission both ends are set.
    let mut service = Daemon::start_inside(&host, PODS, &[]);
    service.wait_for("event=full-scan");
    until("both ends are right", || {
        [(&host, "cali1"), (&pod, "eth0"), (&host, "cali2"), (&pod, "eth1")]
            .iter()
            .all(|(namespace, link)| mtu(namespace, link) == "1460\n")
    });
    assert_eq!(service.stop().0, 0);
}

/// The longest time for which the ends of a new veth differ: until the veth has not changed for a while.
const APART: Duration = Duration::from_secs(3);

/// The host's end is set first. A service that is killed then leaves one end alone until the next one starts.
#[test]
fn the_ends_of_a_new_veth_differ_for_seconds_at_most_also_where_a_kill_falls_between_them() {
    let (host, pod) = host_and_pod();
    let add = |name: &str, peer: &str| {
        host.sh(&format!(
            "ip link add {name} type veth peer name {peer} netns {}",
            pod.name
        ));
        until("the host's end is set", || mtu(&host, name) == "1460\n");
        Instant::now()
    };
    let until_both = |peer: &str, since: Instant| {
        until("the pod's end is set", || mtu(&pod, peer) == "1460\n");
        let apart = since.elapsed();
        assert!(apart < APART, "{peer}: {apart:?}");
    };
    let mut service = Daemon::start_inside(&host, PODS, &[]);
    service.wait_for("event=full-scan");
    until_both("eth1", add("cali2", "eth1"));
    add("cali3", "eth2");
    service.signal("KILL");
    drop(service);
    let started = Instant::now();
    let service = Daemon::start_inside(&host, PODS, &[]);
    until_both("eth2", started);
    assert_eq!(mtu(&host, "cali3"), "1460\n");
    assert_eq!(service.stop().0, 0);
}
