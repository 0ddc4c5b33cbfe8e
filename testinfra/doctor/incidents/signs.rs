//! Counters that namespaces can provoke and that are no cause by themselves, each with the sign that `netkeel doctor`
//! names and no other.

use serde_json::Value;

use super::namespace::Namespace;
use super::net::{MESSAGES, Net, PEER, SEGMENTS, causes, python, signs, sole};

/// The only sign of a report, while a place runs a script. No cause is named.
#[track_caller]
pub fn only(net: &Net, kind: &str, place: &Namespace, script: &str) -> Value {
    let report = net.report(Some((place, script)));
    assert_eq!(
        (signs(&report), causes(&report)),
        (vec![kind], Vec::new()),
        "{report}"
    );
    let mut all = report["signs"].as_array().unwrap().iter();
    all.find(|sign| sign["kind"] == kind).unwrap().clone()
}

/// Sends 40 datagrams from an address to another.
pub fn datagrams(from: &str, to: &str) -> String {
    format!(
        "import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('{from}', 0))
time.sleep(0.4)
for _ in range(40):
    try:
        s.sendto(b'x' * 100, ('{to}', 9))
    except OSError:
        pass
    time.sleep(0.01)
"
    )
}

/// Sends 40 packets whose IP header is written by hand: source, protocol, bits of the fragment, payload.
pub fn raw(source: &str, protocol: u8, fragment: &str, payload: &str) -> String {
    format!(
        "import socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
time.sleep(0.4)
for number in range(1, 41):
    payload = {payload}
    s.sendto(struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), number, {fragment}, 64, {protocol}, 0,
        socket.inet_aton('{source}'), socket.inet_aton('192.0.2.1')) + payload, ('192.0.2.1', 0))
    time.sleep(0.01)
"
    )
}

#[test]
fn packets_of_the_host_that_a_rule_of_output_drops() {
    let net = Net::routed();
    net.host.sh("nft add table inet t
        nft add chain inet t o '{ type filter hook output priority 0; }'
        nft add rule inet t o udp dport 9 drop");
    let send = datagrams("192.0.2.1", PEER);
    let sign = only(&net, "out-discards", &net.host, &send);
    assert_eq!(sign["counters"][0]["counter"], "Ip: OutDiscards");
    assert!(sign["means_not"].as_str().unwrap().contains("OutNoRoutes"));
    // Hardly anything else was sent.
    assert_eq!(sign["severity"], "error");
    net.host.sh("nft delete table inet t");
    // The peer has no listener, and says so a few times.
    let report = net.report(Some((&net.host, &send)));
    assert_eq!(
        (signs(&report), causes(&report)),
        (Vec::new(), Vec::new()),
        "{report}"
    );
}

#[test]
fn fragments_whose_other_half_never_comes() {
    let net = Net::routed();
    net.host.sh("sysctl -qw net.ipv4.ipfrag_time=1");
    // The wait of a second ends within the window too.
    let second_halves = raw(PEER, 17, "1480 >> 3", "b'x' * 64") + "time.sleep(1.3)\n";
    let second_halves = second_halves.replace("time.sleep(0.4)", "");
    only(&net, "reasm-fails", &net.peer, &second_halves);
}

#[test]
fn sources_that_cannot_be_are_martians_and_those_of_rp_filter_are_not() {
    let net = Net::routed();
    // An address of the host itself.
    let report = net.report(Some((&net.peer, &raw("192.0.2.1", 17, "0", "b'x' * 64"))));
    let all = report["signs"].as_array().unwrap();
    let sign = all.iter().find(|sign| sign["kind"] == "martians").unwrap();
    assert!(sign["counters"][0]["by"].as_u64().unwrap() >= 40, "{sign}");
    assert_eq!(
        sign["next"][0]["document"],
        "sysctl: { net.ipv4.conf.all.log_martians: 1 }"
    );
    assert_eq!(
        (signs(&report), causes(&report)),
        (Vec::new(), Vec::new()),
        "{report}"
    );
}

#[test]
fn segments_of_no_connection_are_answered_with_resets() {
    let net = Net::routed();
    net.host.sh("nft add table inet t
        nft add chain inet t i '{ type filter hook input priority 0; }'
        nft add rule inet t i ct state invalid counter
        sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 net.netfilter.nf_conntrack_checksum=0");
    // A segment in the middle of a connection that nobody has.
    let acknowledgements = "
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
s.bind(('192.0.2.2', 0))
time.sleep(0.4)
for port in range(5000, 5040):
    s.sendto(segment('192.0.2.2', '192.0.2.1', port, 1, 0x10), ('192.0.2.1', 0))
    time.sleep(0.01)
";
    let script = format!("{SEGMENTS}{acknowledgements}");
    let sign = only(&net, "conntrack-invalid", &net.peer, &script);
    let counters: Vec<&str> = sign["counters"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|growth| growth["counter"].as_str())
        .collect();
    assert_eq!(counters, ["nf_conntrack invalid", "Tcp: OutRsts"]);
    assert_eq!(sign["severity"], "warning");
}

#[test]
fn udp_that_is_faster_than_its_queue() {
    let net = Net::routed();
    net.host
        .sh("tc qdisc add dev up0 root tbf rate 8kbit burst 1600 limit 600");
    let report = net.report(Some((&net.host, &datagrams("192.0.2.1", PEER))));
    sole(&causes(&report), "qdisc-full", "counted");
    let found = signs(&report);
    assert!(found.contains(&"sndbuf-errors"), "{report}");
    let all = report["signs"].as_array().unwrap();
    let sign = all.iter().find(|sign| sign["kind"] == "sndbuf-errors").unwrap();
    assert!(sign["means_not"].as_str().unwrap().contains("wmem_max cannot"));
}

#[test]
fn a_tunnel_without_a_way_to_its_other_end() {
    let net = Net::routed();
    net.host
        .sh("ip link add vx0 type vxlan id 7 remote 203.0.113.9 dstport 4789
        sysctl -qw net.ipv6.conf.vx0.disable_ipv6=1
        ip link set vx0 up; ip addr add 10.70.0.1/24 dev vx0
        ip neigh add 10.70.0.2 lladdr 02:00:00:00:00:09 dev vx0
        ip route del default");
    let report = net.report(Some((&net.host, &datagrams("10.70.0.1", "10.70.0.2"))));
    assert!(signs(&report).contains(&"interface-errors"), "{report}");
    let all = report["signs"].as_array().unwrap();
    let sign = all
        .iter()
        .find(|sign| sign["kind"] == "interface-errors")
        .unwrap();
    assert_eq!(sign["counters"][0]["counter"], "tx_errors of vx0");
    // Every packet is lost.
    assert_eq!(sign["severity"], "error");
}

/// Binds the group 5, and reads nothing.
const DEAF: &str = "
n.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
n.bind((0, 0))
n.send(message(4, 1, 0, 5, attribute(1, struct.pack('B', 1))))
n.send(message(4, 1, 0, 5, attribute(2, struct.pack('!IBB', 200, 2, 0))))
print('bound', flush=True)
time.sleep(60)
";

#[test]
fn a_reader_of_an_nflog_group_that_is_too_slow() {
    let net = Net::routed();
    net.host.sh("nft add table inet t
        nft add chain inet t i '{ type filter hook input priority 0; }'
        nft add rule inet t i udp dport 9 log group 5
        nft add rule inet t i udp dport 9 drop");
    let mut deaf = python(&net.host, &format!("{MESSAGES}{DEAF}"));
    net.host
        .sh("until grep -q '^ *5 ' /proc/net/netfilter/nfnetlink_log; do sleep 0.1; done");
    let many = datagrams(PEER, "192.0.2.1")
        .replace("range(40)", "range(400)")
        .replace("0.01", "0.001");
    let report = net.report(Some((&net.peer, &many)));
    deaf.kill().unwrap();
    deaf.wait().unwrap();
    assert_eq!(
        (signs(&report), causes(&report)),
        (vec!["netlink-drops"], Vec::new()),
        "{report}"
    );
}

#[test]
fn rules_of_ip_that_see_the_frames_of_a_bridge() {
    let net = Net::switched();
    net.host.sh("ip link set up0 mtu 1500");
    net.peer.sh("ip link set x0 mtu 1500");
    net.host.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1
        nft add table ip t
        nft add chain ip t f '{ type filter hook forward priority 0; }'
        nft add rule ip t f udp dport 9 counter drop");
    let send = datagrams("192.0.2.9", PEER);
    let report = net.report(Some((&net.pod, &send)));
    assert_eq!(signs(&report), ["bridge-filter"], "{report}");
    sole(&causes(&report), "firewall", "possible");
    // The same rule without frames of a bridge sees nothing.
    net.host.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
    let report = net.report(Some((&net.pod, &send)));
    assert_eq!(
        (signs(&report), causes(&report)),
        (Vec::new(), Vec::new()),
        "{report}"
    );
}

#[test]
fn segments_whose_larger_sizes_vanish() {
    let net = Net::routed();
    net.host.sh(
        "sysctl -qw net.ipv4.tcp_mtu_probing=2 net.ipv4.tcp_base_mss=512 net.ipv4.tcp_probe_interval=1
        ip link set up0 gso_max_segs 1 gso_max_size 1500",
    );
    // The peer takes no packet above 1000 bytes and says nothing.
    net.peer.sh("nft add table inet t
        nft add chain inet t i '{ type filter hook prerouting priority -300; }'
        nft add rule inet t i meta length '> 1000' drop");
    let mut sink = python(
        &net.peer,
        "import socket
s = socket.create_server(('192.0.2.2', 9))
while True:
    c, _ = s.accept()
    while c.recv(65536):
        pass
",
    );
    net.peer
        .sh("until ss -tln | grep -q 192.0.2.2:9; do sleep 0.1; done");
    // A size is tried while segments wait.
    let upload = "import socket, time
time.sleep(0.4)
s = socket.create_connection(('192.0.2.2', 9))
s.settimeout(1.2)
end = time.time() + 1.2
try:
    while time.time() < end:
        s.send(b'x' * 1000000)
except OSError:
    pass
";
    let report = net.report(Some((&net.host, upload)));
    sink.kill().unwrap();
    sink.wait().unwrap();
    sole(&causes(&report), "remote-black-hole", "possible");
    assert!(causes(&report).len() == 1, "{report}");
}

#[test]
fn a_vxlan_that_sets_df_and_does_not_fit() {
    let net = Net::routed();
    for (place, own, other, device, inner) in [
        (&net.host, "192.0.2.1", PEER, "up0", "10.70.0.1"),
        (&net.peer, PEER, "192.0.2.1", "x0", "10.70.0.2"),
    ] {
        place.sh(&format!(
            "ip link add vx0 type vxlan id 7 local {own} remote {other} dstport 4789 dev {device} df set
             ip link set vx0 mtu 1450 up; ip addr add {inner}/24 dev vx0; ip link set {device} mtu 1400"
        ));
    }
    let report = net.report(Some((
        &net.host,
        &datagrams("10.70.0.1", "10.70.0.2").replace("* 100", "* 1400"),
    )));
    let kinds: Vec<String> = causes(&report).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        (kinds, signs(&report)),
        (vec!["too-large".to_owned()], Vec::new()),
        "{report}"
    );
}
