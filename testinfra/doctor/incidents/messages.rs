//! Signs of messages, of IPsec, of queues of programs and of missing routes: each is provoked, and `netkeel doctor` names
//! it and no other.

use super::net::{MESSAGES, Net, PEER, SEGMENTS, causes, python};
use super::signs::{datagrams, only, raw, signs};

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
