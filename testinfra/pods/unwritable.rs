//! Pods with something that netkeel cannot write: they are skipped, and stop no other pod.

use super::Node;

const PODS: &str = r#"{"version":1,"link":{"pods":{"match":{"name":"cali*"},"mtu":1400}}}"#;

#[test]
fn a_route_that_netkeel_cannot_write_stops_no_other_pod() {
    let node = Node::new(5);
    node.document(PODS);
    let add = |at: usize, route: &str| {
        node.pods[at].sh(&format!("ip route add {route} via 169.254.1.1 dev eth0 onlink"))
    };
    // Two routes of one key, by TOS.
    add(0, "10.20.0.0/16 tos 0x10 mtu 1480");
    add(0, "10.20.0.0/16 tos 0x08 mtu 1485");
    // Those that would not be written harm nothing.
    add(1, "10.20.0.0/16 tos 0x10 mtu 1380");
    add(1, "10.20.0.0/16 tos 0x08 mtu 1385");
    node.pods[2].sh("ip -6 route add 2001:db8:7::/64 dev eth0 mtu 1480 expires 900");
    node.pods[3].sh("sysctl -qw net.ipv6.conf.eth0.mtu=1300");
    let (code, said) = node.netkeel(&["plan", "-f", "pods.yaml"]);
    assert_eq!(code, 0, "{said}");
    let unwrapped = said.replace("\n  ", " ");
    for (at, why) in [
        (0, Some("have the same destination, metric and table")),
        (1, None),
        (2, Some("has a lifetime")),
        (3, Some("would reset the IPv6 MTU")),
        (4, None),
    ] {
        let finding = format!("NK045 cali{at}:");
        let line = unwrapped.lines().find(|line| line.contains(&finding));
        let is_told = why.is_none_or(|why| line.is_some_and(|line| line.contains(why)));
        assert!(is_told && line.is_some() == why.is_some(), "{at}: {said}");
    }
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
    assert_eq!(code, 0, "{said}");
    for (at, mtu) in [(0, 1500), (1, 1400), (2, 1500), (3, 1500), (4, 1400)] {
        let mtus = node.mtus(at);
        assert!(mtus.starts_with(&format!("host {mtu} pod {mtu}")), "{at}: {mtus}");
    }
    let own = node.pods[3].sh("sysctl -n net.ipv6.conf.eth0.mtu");
    assert_eq!(own.trim(), "1300");
}
