//! Counters that network namespaces can provoke, each with the cause that `netkeel doctor` names. A full connection
//! table, a full queue of received packets and a full neighbour table belong to the whole machine: `testinfra/doctor/run`
//! provokes them in the lab. Needs root, iproute2, nftables,
//! iptables, util-linux and python3.

use std::process::Command;

use serde_json::Value;

use super::net::{Net, PEER, POD, SEGMENTS, causes, python, sole};

/// The names of counters and rules in a list of a report.
fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

/// Sends packets from the pod to the peer, which the host forwards.
fn forwarded(net: &Net) -> Vec<(String, String)> {
    net.causes(Some((&net.pod, POD, PEER, 200)))
}

#[test]
fn a_policy_that_drops_and_counts_what_is_forwarded() {
    let net = Net::routed();
    // As `iptables-restore` writes a policy, with its count.
    let policy = |policy: &str| {
        let rules =
            format!("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {policy} [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n");
        net.host.sh(&format!("printf '{rules}' | iptables-nft-restore"));
    };
    policy("DROP");
    sole(&forwarded(&net), "firewall", "counted");
    policy("ACCEPT");
    assert_eq!(forwarded(&net), []);
}

#[test]
fn a_rule_that_drops_is_possible_and_one_without_a_count_is_named() {
    let net = Net::routed();
    net.host.sh("nft add table inet t
        nft add chain inet t f '{ type filter hook forward priority 0; }'
        nft add rule inet t f udp dport 9 counter drop");
    sole(&forwarded(&net), "firewall", "possible");
    net.host
        .sh("nft flush chain inet t f; nft add chain inet t f '{ policy drop; }'");
    let report = net.report(None);
    assert_eq!(causes(&report), []);
    let uncounted = &report["uncounted"][0];
    assert_eq!(
        (&uncounted["chain"], &uncounted["handle"]),
        (&Value::from("f"), &Value::Null)
    );
    // A table that is switched off drops nothing.
    net.host.sh("nft add table inet t '{ flags dormant; }'");
    assert_eq!(net.report(None)["uncounted"], Value::Array(Vec::new()));
}

#[test]
fn iptables_legacy_is_named_as_not_read_where_it_has_tables() {
    let net = Net::routed();
    let unread = || names(&net.report(None)["unread"]).contains(&"iptables");
    assert!(!unread());
    net.host.sh("iptables-legacy -A FORWARD -j DROP");
    assert!(unread());
}

/// Attaches a program of XDP to `up0` that lets every packet pass.
const XDP: &str = r"
import ctypes, os, socket, struct
code = ctypes.create_string_buffer(struct.pack('=BBhiBBhi', 0xb7, 0, 0, 2, 0x95, 0, 0, 0))
licence = ctypes.create_string_buffer(b'GPL')
load = ctypes.create_string_buffer(
    struct.pack('=IIQQ', 6, 2, ctypes.addressof(code), ctypes.addressof(licence)) + bytes(96))
bpf = {'x86_64': 321, 'aarch64': 280}[os.uname().machine]
program = ctypes.CDLL(None, use_errno=True).syscall(bpf, 5, load, len(load))
assert program >= 0, os.strerror(ctypes.get_errno())
def attribute(kind, value):
    return struct.pack('=HH', 4 + len(value), kind) + value
xdp = attribute(43 | 0x8000, attribute(1, struct.pack('=i', program)) + attribute(3, struct.pack('=I', 2)))
body = struct.pack('=BxHiII', 0, 0, socket.if_nametoindex('up0'), 0, 0) + xdp
n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
n.bind((0, 0))
n.send(struct.pack('=IHHII', 16 + len(body), 19, 5, 1, 0) + body)
assert struct.unpack_from('=i', n.recv(4096), 16)[0] == 0
";

#[test]
fn programs_on_interfaces_are_named_with_what_counts_their_drops() {
    let net = Net::routed();
    let attached = || net.report(None)["attached"].clone();
    assert_eq!(attached(), serde_json::json!({ "xdp": [], "tc": [] }));
    net.host.sh("tc qdisc add dev cali1 clsact");
    assert!(python(&net.host, XDP).wait().unwrap().success());
    assert_eq!(attached(), serde_json::json!({ "xdp": ["up0"], "tc": ["cali1"] }));
    let shown = Command::new(env!("CARGO_BIN_EXE_netkeel"))
        .args(["doctor", "--window", "1s", "--netns", &net.host.name])
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).replace("\n", " ");
    for named in [
        "XDP (up0) may drop packets too",
        "(clsact or ingress on cali1), may drop packets too. Their drops are counted",
    ] {
        assert!(shown.contains(named), "{shown}");
    }
}

#[test]
fn a_pod_that_does_not_answer() {
    let net = Net::routed();
    net.pod.sh("ip link set eth0 arp off");
    net.host.sh(&format!("ping -c 1 -W 4 {POD} >/dev/null || true"));
    let send = |to| net.causes(Some((&net.host, "192.0.2.1", to, 200)));
    assert!(send(POD).contains(&("neighbour-silent".to_owned(), "possible".to_owned())));
    // Nobody needs this address.
    net.pod.sh("ip link set eth0 arp on");
    net.host.sh("ping -c 1 -W 4 192.0.2.77 >/dev/null || true");
    assert_eq!(send("192.0.2.77"), []);
}

#[test]
fn a_path_mtu_that_a_tiny_link_taught() {
    let net = Net::routed();
    net.peer.sh("sysctl -qw net.ipv4.ip_forward=1
        ip link add d0 type veth peer name d1; ip link set d1 mtu 500 up; ip link set d0 mtu 500 up; ip addr add 198.51.100.1/24 dev d0");
    let send = || Some((&net.host, "192.0.2.1", "198.51.100.9", 1400));
    sole(&net.causes(send()), "path-mtu-tiny", "possible");
    net.host.sh("ip route flush cache");
    net.peer.sh("ip link set d0 mtu 1500; ip link set d1 mtu 1500");
    assert_eq!(net.causes(send()), []);
}

#[test]
fn a_receive_buffer_that_is_too_small() {
    let net = Net::routed();
    let mut listener = python(
        &net.host,
        "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
s.bind(('192.0.2.1', 9))
time.sleep(60)
",
    );
    net.host
        .sh("until ss -uln | grep -q 192.0.2.1:9; do sleep 0.1; done");
    let send = || Some((&net.peer, PEER, "192.0.2.1", 1000));
    net.alone(send(), ("receive-buffer", "counted"), &[]);
    listener.kill().unwrap();
    listener.wait().unwrap();
    assert_eq!(net.causes(send()), []);
}

#[test]
fn packets_with_wrong_checksums() {
    let net = Net::routed();
    let script = |checksum: &str| {
        format!(
            "import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
time.sleep(0.4)
for _ in range(40):
    s.sendto(struct.pack('!HHHH', 7, 9, 12, {checksum}) + b'data', ('192.0.2.1', 0))
"
        )
    };
    let report = net.report(Some((&net.peer, &script("0xbad"))));
    sole(&causes(&report), "checksums", "counted");
    // 0 is no checksum.
    assert_eq!(causes(&net.report(Some((&net.peer, &script("0"))))), []);
}

/// Two SYNs of each of 20 connections wait in a queue until both have an entry that is not in the table yet, then
/// all go on: the second of each finds the first.
const RACE: &str = r"
def attribute(kind, value):
    size = 4 + len(value)
    return struct.pack('=HH', size, kind) + value + bytes(-size % 4)
def message(kind, family, queue, attributes):
    body = struct.pack('!BBH', family, 0, queue) + attributes
    return struct.pack('=IHHII', 16 + len(body), 3 << 8 | kind, 1, 0, 0) + body
n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
n.bind((0, 0))
n.settimeout(5)
n.send(message(2, 2, 3, attribute(1, struct.pack('!BBH', 1, 0, 2))))
n.send(message(2, 2, 3, attribute(2, struct.pack('!IB', 0, 1))))
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
s.bind(('192.0.2.1', 0))
time.sleep(0.4)
for port in range(5000, 5020):
    syn = segment('192.0.2.1', '192.0.2.2', port, 0, 2)
    s.sendto(syn, ('192.0.2.2', 0))
    s.sendto(syn, ('192.0.2.2', 0))
held = []
while len(held) < 40:
    data = n.recv(65536)
    kind, = struct.unpack_from('=H', data, 4)
    if kind == 3 << 8:
        held.append(struct.unpack_from('!I', data, 24)[0])
for packet in held:
    n.send(message(1, 2, 3, attribute(2, struct.pack('!II', 1, packet))))
time.sleep(0.2)
";

#[test]
fn connections_that_race_into_the_table() {
    let net = Net::routed();
    // A refusal of the peer would end the first before the second comes.
    net.peer.sh("iptables-nft -A INPUT -p tcp -j DROP");
    let queue = "OUTPUT -p tcp --dport 9 -m conntrack --ctstate NEW -j NFQUEUE --queue-num 3";
    net.host.sh(&format!("iptables-nft -A {queue}"));
    let report = net.report(Some((&net.host, &format!("{SEGMENTS}{RACE}"))));
    // The table has room: it is not full.
    sole(&causes(&report), "conntrack-race", "counted");
    assert!(causes(&report).iter().all(|(kind, _)| kind != "conntrack-full"));
    net.host.sh(&format!("iptables-nft -D {queue}"));
    assert_eq!(net.causes(Some((&net.host, "192.0.2.1", PEER, 200))), []);
}

#[test]
fn drop_reasons_are_counted_on_request_and_leave_nothing_behind() {
    let net = Net::routed();
    net.host.sh("nft add table inet t
        nft add chain inet t f '{ type filter hook forward priority 0; policy drop; }'");
    let doctor = |options: &str| {
        // They are of the whole machine. The test mounts tracefs for itself alone.
        let script = format!(
            "mount -t tracefs tracefs /sys/kernel/tracing
             {} doctor --window 2s --output json {options}; ls /sys/kernel/tracing/instances",
            env!("CARGO_BIN_EXE_netkeel")
        );
        let done = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let mut traffic = python(
        &net.pod,
        &format!(
            "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    s.sendto(b'x', ('{PEER}', 9))
    time.sleep(0.01)
"
        ),
    );
    // Python may need longer than the window to begin.
    net.host
        .sh("until [ $(cat /sys/class/net/cali1/statistics/rx_packets) -gt 50 ]; do sleep 0.1; done");
    let found = doctor("--drop-reasons");
    traffic.kill().unwrap();
    traffic.wait().unwrap();
    let end = found.rfind('}').unwrap() + 1;
    let report: Value = serde_json::from_str(&found[..end]).unwrap();
    assert_eq!(found[end..].trim(), "", "an instance of tracefs is left");
    let causes = report["causes"].as_array().unwrap();
    let firewall = causes.iter().find(|cause| cause["kind"] == "firewall").unwrap();
    // In another namespace, or without a rule here, it is no more than possible.
    let grew = firewall["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["grew"]);
    let reason = grew
        .clone()
        .find(|grew| grew["counter"] == "drop reason NETFILTER_DROP");
    assert!(reason.unwrap()["by"].as_u64().unwrap() >= 40, "{firewall}");
    assert!(!names(&report["unread"]).contains(&"drop-reasons"));
    let report: Value = serde_json::from_str(doctor("").trim()).unwrap();
    assert!(names(&report["unread"]).contains(&"drop-reasons"));
}

#[test]
fn a_history_that_cannot_be_read_does_not_end_a_recording() {
    let net = Net::routed();
    // The state of a namespace is below its cookie (SO_NETNS_COOKIE).
    let script =
        "import socket, struct; s = socket.socket(); print(struct.unpack('=Q', s.getsockopt(1, 71, 8))[0])";
    let cookie = net.host.sh(&format!("python3 -c \"{script}\""));
    let state = format!("/run/netkeel/netns/{}", cookie.trim());
    net.host.sh(&format!(
        "mkdir -p -m 700 /run/netkeel/netns {state}; printf '\\377\\n' >{state}/history"
    ));
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("bundle.json");
    let done = Command::new(env!("CARGO_BIN_EXE_netkeel"))
        .args(["doctor", "--record", "1s", "--netns", &net.host.name, "--out"])
        .arg(&bundle)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&state).unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("the history of applies"), "{said}");
    assert_eq!(done.status.code(), Some(1), "{said}");
    let bundle: Value = serde_json::from_str(&std::fs::read_to_string(bundle).unwrap()).unwrap();
    assert_eq!(
        (&bundle["applies"], &bundle["bundle"]),
        (&Value::Array(Vec::new()), &Value::from(1))
    );
}
