//! Signs of messages, of IPsec, of filters of tc, of queues of programs, of IPv6 and of missing routes: each is provoked, and `netkeel doctor` names
//! it and no other.

use super::namespace::Namespace;
use super::net::{MESSAGES, Net, PEER, SEGMENTS, causes, python, signs};
use super::signs::{datagrams, only, raw};

/// Sends the host 40 ICMP errors of a type and a code, about a packet of a protocol that nobody has.
fn icmp(kind: u8, code: u8) -> String {
    let message = format!(
        "
address = socket.inet_aton
inner = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 28, 1, 0, 64, 253, 0, address('192.0.2.1'), address('{PEER}')) + bytes(8)
bare = struct.pack('!BBH4s', {kind}, {code}, 0, address('192.0.2.77')) + inner
message = bare[:2] + struct.pack('!H', checksum(bare)) + bare[4:]
"
    );
    format!("{SEGMENTS}{message}{}", raw(PEER, 1, "0", "message"))
}

#[test]
fn messages_by_their_type() {
    let net = Net::routed();
    for (kind, code, sign, counter) in [
        (3, 1, "icmp-unreachable", "IcmpMsg: InType3"),
        (5, 1, "icmp-redirect", "IcmpMsg: InType5"),
        (11, 0, "icmp-time-exceeded", "IcmpMsg: InType11"),
        (12, 0, "icmp-parameter-problem", "IcmpMsg: InType12"),
    ] {
        let found = only(&net, sign, &net.peer, &icmp(kind, code));
        assert_eq!(found["counters"][0]["counter"], counter);
        assert_eq!(found["counters"][0]["by"], 40);
        assert_eq!(found["severity"], "note");
    }
}

/// An address of the host, and one of the peer.
const HOST6: &str = "2001:db8::1";
const PEER6: &str = "2001:db8::2";

/// Addresses of IPv6 that can be used at once, and that nobody asks for.
fn with_ipv6(net: &Net) {
    let mac = |place: &Namespace, link: &str| place.sh(&format!("cat /sys/class/net/{link}/address"));
    for (place, own, link, other, mac) in [
        (&net.host, HOST6, "up0", PEER6, mac(&net.peer, "x0")),
        (&net.peer, PEER6, "x0", HOST6, mac(&net.host, "up0")),
    ] {
        place.sh(&format!(
            "ip addr add {own}/64 dev {link} nodad
             ip neigh replace {other} lladdr {} dev {link} nud permanent",
            mac.trim()
        ));
    }
}

/// Sends the host 40 ICMPv6 messages of a type, about a packet of a protocol that nobody has.
fn icmp6(kind: u8) -> String {
    format!(
        "
address = lambda text: socket.inet_pton(socket.AF_INET6, text)
inner = struct.pack('!IHBB', 6 << 28, 8, 253, 64) + address('{HOST6}') + address('{PEER6}') + bytes(8)
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.bind(('{PEER6}', 0))
time.sleep(0.4)
for number in range(40):
    s.sendto(struct.pack('!BBHI', {kind}, 0, 0, 1400) + inner, ('{HOST6}', 0))
    time.sleep(0.01)
"
    )
}

#[test]
fn messages_of_ipv6_by_their_type() {
    let net = Net::routed();
    with_ipv6(&net);
    for (kind, sign, counter) in [
        (1, "icmp-unreachable", "Icmp6: InDestUnreachs"),
        (2, "icmp-too-big", "Icmp6: InPktTooBigs"),
        (3, "icmp-time-exceeded", "Icmp6: InTimeExcds"),
        (4, "icmp-parameter-problem", "Icmp6: InParmProblems"),
        (137, "icmp-redirect", "Icmp6: InRedirects"),
    ] {
        let found = only(&net, sign, &net.peer, &icmp6(kind));
        assert_eq!(found["counters"][0]["counter"], counter);
        assert_eq!(found["counters"][0]["by"], 40);
        assert_eq!(found["severity"], "note");
    }
}

#[test]
fn packets_of_ipv6_where_it_is_switched_off() {
    let net = Net::routed();
    with_ipv6(&net);
    net.host.sh("sysctl -qw net.ipv6.conf.up0.disable_ipv6=1");
    let send = datagrams(PEER6, HOST6).replace("AF_INET,", "AF_INET6,");
    let sign = only(&net, "in-discards", &net.peer, &send);
    assert_eq!(sign["counters"][0]["counter"], "Ip6: InDiscards");
    assert!(sign["means"].as_str().unwrap().contains("disable_ipv6"));
    // The kernel removed the address with IPv6.
    net.host.sh("sysctl -qw net.ipv6.conf.up0.disable_ipv6=0");
    net.host.sh(&format!("ip addr add {HOST6}/64 dev up0 nodad"));
    let report = net.report(Some((&net.peer, &send)));
    assert!(!signs(&report).contains(&"in-discards"), "{report}");
}

/// A program that drops each packet of IPv4 (TC_ACT_SHOT).
const SHOT: &str = "protocol ip bpf da bytecode '1,6 0 0 2'";

#[test]
fn packets_that_a_filter_of_tc_drops() {
    let net = Net::routed();
    net.host.sh(&format!(
        "tc qdisc add dev up0 clsact; tc filter add dev up0 ingress {SHOT}"
    ));
    let send = datagrams(PEER, "192.0.2.1");
    let sign = only(&net, "filter-drops", &net.peer, &send);
    assert_eq!(sign["counters"][0]["counter"], "tc filter drops of up0");
    assert!(sign["counters"][0]["by"].as_u64().unwrap() >= 40, "{sign}");
    // A filter drops what it was made to drop.
    assert_eq!(sign["severity"], "warning");
    // The command runs in the namespace that was diagnosed.
    let command = sign["next"][0]["command"].as_str().unwrap();
    assert!(command.starts_with("ip netns exec "), "{command}");
    assert!(
        command.ends_with(" tc -s filter show dev up0 ingress"),
        "{command}"
    );
    net.host.sh(&format!(
        "tc filter del dev up0 ingress; tc filter add dev up0 egress {SHOT}"
    ));
    // The kernel may count it as a discard of the host too.
    let report = net.report(Some((&net.host, &datagrams("192.0.2.1", PEER))));
    assert!(signs(&report).contains(&"filter-drops"), "{report}");
    assert_eq!(causes(&report), Vec::new(), "{report}");
    // Without filters nothing is dropped.
    net.host.sh("tc filter del dev up0 egress");
    let report = net.report(Some((&net.peer, &send)));
    assert!(!signs(&report).contains(&"filter-drops"), "{report}");
}

#[test]
fn packets_that_a_policy_of_ipsec_blocks() {
    let net = Net::routed();
    net.host.sh(&format!(
        "ip xfrm policy add dir in src {PEER} dst 192.0.2.1 proto udp action block"
    ));
    let send = datagrams(PEER, "192.0.2.1");
    let sign = only(&net, "ipsec", &net.peer, &send);
    assert_eq!(sign["counters"][0]["counter"], "Xfrm: InPolBlock");
    assert_eq!(sign["severity"], "warning");
    net.host.sh("ip xfrm policy flush");
    let report = net.report(Some((&net.peer, &send)));
    assert_eq!(
        (signs(&report), causes(&report)),
        (Vec::new(), Vec::new()),
        "{report}"
    );
}

/// Binds the queue 4 for 5 packets, and never gives a verdict.
const UNDECIDED: &str = "
n.bind((0, 0))
n.send(message(3, 2, 2, 4, attribute(1, struct.pack('!BBH', 1, 0, 2))))
n.send(message(3, 2, 2, 4, attribute(2, struct.pack('!IB', 0, 1))))
n.send(message(3, 2, 2, 4, attribute(3, struct.pack('!I', 5))))
time.sleep(60)
";

#[test]
fn a_program_that_decides_too_slowly_about_a_queue() {
    let net = Net::routed();
    net.host
        .sh("iptables-nft -A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 4");
    let mut undecided = python(&net.host, &format!("{MESSAGES}{UNDECIDED}"));
    net.host
        .sh("until grep -q '^ *4 ' /proc/net/netfilter/nfnetlink_queue; do sleep 0.1; done");
    let report = net.report(Some((&net.peer, &datagrams(PEER, "192.0.2.1"))));
    undecided.kill().unwrap();
    undecided.wait().unwrap();
    assert_eq!(
        (signs(&report), causes(&report)),
        (vec!["queue-drops"], Vec::new()),
        "{report}"
    );
    let sign = &report["signs"][0];
    assert_eq!(sign["counters"][0]["counter"], "drops of NFQUEUE 4");
    assert_eq!(sign["counters"][0]["by"], 35);
    assert_eq!(sign["severity"], "warning");
}

#[test]
fn packets_of_the_host_to_where_no_route_leads() {
    let net = Net::routed();
    // The table with the default route is left before that.
    net.host.sh("ip route add throw 203.0.113.0/24");
    let send = datagrams("192.0.2.1", "203.0.113.9");
    let sign = only(&net, "out-no-routes", &net.host, &send);
    assert_eq!(sign["counters"][0]["counter"], "Ip: OutNoRoutes");
}
