//! The sizes that `netkeel path` states, measured on the real kernel: a pod, a host and a peer are three
//! namespaces, and packets with don't-fragment go both ways.

use std::io::Write;
use std::process::Command;

use serde_json::Value;

use super::namespace::Namespace;
use super::pod_net::{Net, PEER, POD};

/// The peer's address in the overlay.
const OVERLAY: &str = "10.70.0.2";

impl Net {
    /// As [`Net::routed`], with a vxlan between host and peer.
    fn overlay(options: &str) -> Self {
        let net = Net::routed();
        for (place, own, other, device, inner) in [
            (&net.host, "192.0.2.1", PEER, "up0", "10.70.0.1"),
            (&net.peer, PEER, "192.0.2.1", "x0", OVERLAY),
        ] {
            place.sh(&format!(
                "ip link add vx0 type vxlan id 7 local {own} remote {other} dstport 4789 dev {device} {options}
                 ip link set vx0 up; ip addr add {inner}/24 dev vx0"
            ));
        }
        net.peer.sh(&format!("ip route add {POD} via 10.70.0.1 dev vx0"));
        net
    }

    /// The path from the pod to an address, by the program.
    fn path(&self, to: &str) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args([
                "path",
                "cali1",
                "--to",
                to,
                "--output",
                "json",
                "--netns",
                &self.host.name,
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        let [path] = all["paths"].as_array().unwrap().as_slice() else {
            panic!("{all:#}")
        };
        path.clone()
    }

    /// The fate of packets of these sizes.
    fn probe(from: &Namespace, to: &Namespace, address: &str, sizes: &[u64]) -> Vec<String> {
        let output = Command::new("python3")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../testinfra/path/probe.py"
            ))
            .args([&from.name, &to.name, address])
            .args(sizes.iter().map(u64::to_string))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Compares both directions with the kernel; the numbers are those that a reader of the test expects.
    fn agrees(&self, pod: &str, peer: &str, out: Passes, back: Passes) {
        self.agrees_out(peer, out);
        let path = self.path(peer);
        compare("back", &path, back, |sizes| {
            Net::probe(&self.peer, &self.pod, pod, sizes)
        });
    }

    /// Compares the way from the pod.
    fn agrees_out(&self, peer: &str, out: Passes) {
        let path = self.path(peer);
        compare("out", &path, out, |sizes| {
            Net::probe(&self.pod, &self.peer, peer, sizes)
        });
    }
}

/// The largest packet of a direction.
#[derive(Clone, Copy)]
enum Passes {
    /// Bytes; the sender hears of larger ones.
    To(u64),
    /// Bytes, and the sizes that vanish.
    Loses(u64, u64, u64),
}

use Passes::{Loses, To};

/// Every packet vanishes.
const NOTHING: Passes = Loses(0, 1, 0);

/// Compares what a path states of one direction with what is expected, and with what the kernel does.
fn compare(way: &str, path: &Value, expected: Passes, probe: impl Fn(&[u64]) -> Vec<String>) {
    let stated = &path[way];
    assert_eq!(path["unknown"], Value::Array(Vec::new()), "{path:#}");
    assert_eq!(stated["certain"], true, "{way} of {path:#}");
    let hole = &stated["black_hole"];
    let largest = match expected {
        To(largest) => {
            assert!(hole.is_null(), "{way} of {path:#}");
            largest
        }
        Loses(largest, from, to) => {
            assert_eq!(hole["from"], from, "{way} of {path:#}");
            // How large a packet may be that never arrives matters to nobody.
            if largest == 0 {
                assert_eq!(stated["largest"], 0, "{way} of {path:#}");
                assert_eq!(probe(&[200]), ["lost"], "{way} of {path:#}");
                return;
            }
            assert_eq!(hole["to"], to, "{way} of {path:#}");
            // First: a packet-too-big would make the sender refuse these.
            assert_eq!(probe(&[from, to]), ["lost", "lost"], "{way} of {path:#}");
            largest
        }
    };
    assert_eq!(stated["largest"], largest, "{way} of {path:#}");
    let larger = match stated["above"]["action"].as_str().unwrap() {
        "refused" | "assumed" => "refused",
        "packet-too-big" => "told",
        "dropped" => "lost",
        other => panic!("{other}"),
    };
    assert_eq!(
        probe(&[largest, largest + 1]),
        ["passed", larger],
        "{way} of {path:#}"
    );
}

#[test]
fn routed_with_one_mtu() {
    Net::routed().agrees(POD, PEER, To(1500), To(1500));
}

#[test]
fn smaller_host_end() {
    Net::routed_with(1450, 1500, 1500, 1500).agrees(POD, PEER, Loses(1454, 1455, 1500), To(1450));
}

#[test]
fn smaller_pod_end() {
    Net::routed_with(1500, 1460, 1500, 1500).agrees(POD, PEER, To(1460), Loses(1464, 1465, 1500));
}

#[test]
fn smaller_uplink() {
    Net::routed_with(1500, 1500, 1400, 1400).agrees(POD, PEER, To(1400), To(1400));
}

#[test]
fn peer_that_sends_more_than_the_uplink_takes() {
    Net::routed_with(1500, 1500, 1500, 3000).agrees(POD, PEER, To(1500), Loses(1500, 1505, 3000));
}

#[test]
fn smaller_route_in_the_pod() {
    let net = Net::routed();
    net.pod
        .sh("ip route replace default via 169.254.1.1 dev eth0 mtu 1400");
    net.agrees(POD, PEER, To(1400), To(1500));
}

#[test]
fn larger_route_in_the_pod() {
    let net = Net::routed();
    net.pod
        .sh("ip route replace default via 169.254.1.1 dev eth0 mtu 2000");
    net.agrees(POD, PEER, Loses(1500, 1505, 2000), To(1500));
    let path = net.path(PEER);
    assert_eq!(path["hops"][0]["route"]["above_device"], true);
}

#[test]
fn smaller_route_on_the_host() {
    let net = Net::routed();
    net.host.sh(&format!("ip route replace {PEER} dev up0 mtu 1300"));
    net.agrees(POD, PEER, To(1300), To(1500));
}

#[test]
fn overlay_that_fits() {
    Net::overlay("").agrees(POD, OVERLAY, To(1450), To(1450));
}

#[test]
fn overlay_over_a_smaller_underlay_is_fragmented() {
    let net = Net::overlay("");
    net.host.sh("ip link set up0 mtu 1400");
    net.peer.sh("ip link set x0 mtu 1400");
    let path = net.path(OVERLAY);
    assert_eq!(path["out"]["whole"], 1350);
    assert_eq!(path["mss"]["ipv4"], 1310);
    // The peer learns the smaller size of its own tunnel: only what the host forwards is compared.
    net.agrees_out(OVERLAY, To(1450));
}

#[test]
fn overlay_with_dont_fragment_over_a_smaller_underlay() {
    let net = Net::overlay("df set");
    net.host.sh("ip link set up0 mtu 1400");
    net.peer.sh("ip link set x0 mtu 1400");
    net.agrees_out(OVERLAY, Loses(1350, 1351, 1450));
}

#[test]
fn bridge_that_routes() {
    let net = Net::new();
    net.host.sh(&format!(
        "sysctl -qw net.ipv4.ip_forward=1
         ip link add br0 type bridge; ip link set br0 up; ip addr add 10.65.0.1/24 dev br0
         ip link set cali1 master br0 up; ip link set up0 mtu 1400 up
         ip addr add 192.0.2.1/24 dev up0; ip route add default via {PEER}"
    ));
    net.pod.sh(&format!(
        "ip link set eth0 up; ip addr add {POD}/24 dev eth0; ip route add default via 10.65.0.1"
    ));
    net.peer.sh(&format!(
        "ip link set x0 mtu 1400 up; ip addr add {PEER}/24 dev x0; ip route add default via 192.0.2.1"
    ));
    net.agrees(POD, PEER, To(1400), To(1400));
}

/// Bridge netfilter takes away the room for a tag. It is on in a new namespace, where the module is loaded.
fn filtered(net: &Net, on: bool) -> bool {
    let set = format!(
        "[ ! -e /proc/sys/net/bridge ] || sysctl -qw net.bridge.bridge-nf-call-iptables={}; ls -d /proc/sys/net/bridge || true",
        u8::from(on)
    );
    !net.host.sh(&set).is_empty()
}

/// Compares both directions between the pod and the peer, without bridge netfilter and with it.
fn agrees_bridged(net: &Net, without: (Passes, Passes), with: (Passes, Passes)) {
    filtered(net, false);
    net.agrees("192.0.2.9", PEER, without.0, without.1);
    match filtered(net, true) {
        true => net.agrees("192.0.2.9", PEER, with.0, with.1),
        // Past the harness, which hides what a test that passes prints.
        false => {
            let skipped = "SKIPPED path, bridge netfilter: this kernel has not loaded br_netfilter\n";
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        }
    }
}

/// The MTU of the narrow place, with room for a tag and without.
const TAGGED: Passes = Loses(1404, 1405, 1500);
const BARE: Passes = Loses(1400, 1401, 1500);

#[test]
fn bridge_with_a_smaller_port() {
    let net = Net::switched_with(1500, 1500, 1400, 1500);
    // The pod's port and the end behind the other port let the tag through; the peer's frames enter by a veth.
    agrees_bridged(&net, (TAGGED, TAGGED), (BARE, TAGGED));
}

#[test]
fn bridge_with_a_smaller_pod_port() {
    let net = Net::switched_with(1400, 1500, 1500, 1500);
    agrees_bridged(&net, (TAGGED, TAGGED), (TAGGED, BARE));
}

#[test]
fn forwarding_off() {
    let net = Net::routed();
    // Without forwarding proxy_arp does not answer either; the entry shows what the rest does.
    net.pod
        .sh("ip neigh replace 169.254.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent");
    net.host
        .sh("ip link set cali1 address 02:00:00:00:00:01; sysctl -qw net.ipv4.conf.cali1.forwarding=0");
    net.agrees(POD, PEER, NOTHING, To(1500));
}

#[test]
fn nobody_answers_for_the_gateway() {
    let net = Net::routed();
    net.host.sh("sysctl -qw net.ipv4.conf.cali1.proxy_arp=0");
    net.agrees(POD, PEER, NOTHING, To(1500));
}

#[test]
fn strict_rp_filter_with_a_route_back_by_another_interface() {
    let net = Net::routed();
    net.host.sh(&format!(
        "sysctl -qw net.ipv4.conf.cali1.rp_filter=1; ip route del {POD} dev cali1"
    ));
    net.agrees(POD, PEER, NOTHING, NOTHING);
}

#[test]
fn strict_rp_filter_of_the_address_that_the_pod_sends_from() {
    let net = Net::routed();
    net.host.sh("sysctl -qw net.ipv4.conf.cali1.rp_filter=1");
    net.pod.sh("ip addr add 10.77.0.1/32 dev eth0");
    // The pod sends from the address that it had first, which nobody tells.
    let path = net.path(PEER);
    assert!(path["out"]["black_hole"].is_null(), "{path:#}");
    assert_ne!(path["unknown"], Value::Array(Vec::new()), "{path:#}");
    for (source, out) in [(POD, To(1500)), ("10.77.0.1", NOTHING)] {
        let route = format!("ip route replace default via 169.254.1.1 dev eth0 src {source}");
        net.pod.sh(&route);
        net.agrees_out(PEER, out);
    }
}

#[test]
fn a_dead_next_hop_is_not_used() {
    let net = Net::routed();
    net.host.sh(&format!(
        "ip link add up1 type veth peer name x1 netns {}
         ip link set up1 mtu 1300 up; ip addr add 198.51.100.1/24 dev up1",
        net.peer.name
    ));
    net.peer
        .sh(&format!("ip link set x1 up; ip addr add {OVERLAY}/32 dev lo"));
    net.host.sh(&format!(
        "ip route replace default nexthop via {PEER} nexthop via 198.51.100.2; ip link set up1 down"
    ));
    net.agrees_out(OVERLAY, To(1500));
}

/// What decides beside the main table is not read: it makes the way unknown, and never another one.
#[test]
fn routes_beside_the_main_table() {
    for script in [
        "ip rule del pref 32766",
        "ip route add 192.0.2.2 via 192.0.2.3 dev up0 table local",
        "ip route del default; ip route add default via 192.0.2.2 table default",
    ] {
        let net = Net::routed();
        net.host.sh(script);
        let path = net.path(PEER);
        assert_ne!(path["unknown"], Value::Array(Vec::new()), "{script}: {path:#}");
    }
    let net = Net::routed();
    // No packet has this type of service.
    net.host.sh("ip route add 192.0.2.2 dev lo tos 0x10");
    net.agrees(POD, PEER, To(1500), To(1500));
}

/// A router asks for neighbours with its link-local address, which the tests' namespaces do not make.
#[test]
fn ipv6_over_a_smaller_uplink() {
    let net = Net::new();
    for (place, script) in [
        (
            &net.host,
            "sysctl -qw net.ipv6.conf.all.forwarding=1
             ip link set cali1 up; ip link set up0 mtu 1400 up
             ip addr add 2001:db8:1::1/64 dev cali1 nodad; ip addr add 2001:db8:2::1/64 dev up0 nodad
             ip addr add fe80::1/64 dev cali1 nodad; ip addr add fe80::2/64 dev up0 nodad
             ip -6 route add default via 2001:db8:2::2",
        ),
        (
            &net.pod,
            "ip link set eth0 up; ip addr add 2001:db8:1::2/64 dev eth0 nodad
             ip -6 route add default via 2001:db8:1::1",
        ),
        (
            &net.peer,
            "ip link set x0 mtu 1400 up; ip addr add 2001:db8:2::2/64 dev x0 nodad
             ip -6 route add default via 2001:db8:2::1",
        ),
    ] {
        place.sh(script);
    }
    net.agrees("2001:db8:1::2", "2001:db8:2::2", To(1400), To(1400));
}

#[test]
fn paths_of_a_document_are_those_after_its_apply() {
    let net = Net::routed_with(1450, 1500, 1500, 1500);
    let scratch = tempfile::tempdir().unwrap();
    let document = scratch.path().join("pods.yaml");
    std::fs::write(
        &document,
        "version: 1\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1400, rp_filter: strict }\n",
    )
    .unwrap();
    let document = document.display().to_string();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args(arguments)
            .args(["--netns", &net.host.name])
            .env_remove("SSH_CONNECTION")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let before = run(&["path", "cali1"]);
    let predicted = run(&["path", "cali1", "-f", &document]);
    run(&["apply", "-f", &document]);
    // The titles differ.
    let body = |drawn: &str| drawn.split_once("\n\n").unwrap().1.to_owned();
    assert!(predicted.starts_with("planned: pod "), "{predicted}");
    assert_eq!(body(&run(&["path", "cali1"])), body(&predicted));
    assert_ne!(before, predicted);
    net.agrees(POD, PEER, To(1400), To(1400));
}

#[test]
fn rules_in_the_pod_are_unknown() {
    let net = Net::routed();
    net.pod.sh("ip rule add to 192.0.2.0/24 table 100");
    let path = net.path(PEER);
    assert_eq!(path["unknown"][0]["what"], "pod-routes", "{path:#}");
    assert_eq!(path["out"]["certain"], false, "{path:#}");
}

#[test]
fn saved_snapshot_gives_the_same_paths() {
    let net = Net::routed_with(1450, 1500, 1500, 1500);
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("host.json").display().to_string();
    let (_, snapshot) = run(&["observe", "--netns", &net.host.name]);
    std::fs::write(&file, snapshot).unwrap();
    let live = run(&["path", "--netns", &net.host.name, "--detailed-exitcode"]);
    let saved = run(&["path", "--snapshot", &file, "--detailed-exitcode"]);
    assert_eq!(live, saved);
    assert_eq!(live.0, Some(2), "{}", live.1);
    net.host.sh("ip route del default");
    let lost = run(&[
        "path",
        "203.0.113.9",
        "--netns",
        &net.host.name,
        "--detailed-exitcode",
    ]);
    assert_eq!(lost.0, Some(2), "{}", lost.1);
    // Every name of the pod leads to its paths.
    let by_link = run(&["path", "cali1", "--netns", &net.host.name]);
    for name in [net.pod.name.as_str(), POD] {
        assert_eq!(run(&["path", name, "--netns", &net.host.name]), by_link);
    }
    let nothing = run(&["path", "cali2", "--netns", &net.host.name]);
    assert_eq!(nothing, (Some(1), String::new()));
}
