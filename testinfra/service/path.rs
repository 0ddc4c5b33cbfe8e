//! A budget over the measured path to a host: routers in namespaces take less than the interface, and
//! change while the service runs.

use super::daemon::{Daemon, netkeel};
use super::namespace::Namespace;
use super::until;

/// A host behind two routers, each of which forwards to the next with a smaller MTU.
struct Way {
    host: Namespace,
    first: Namespace,
    second: Namespace,
    /// Who is at its end.
    far: Namespace,
}

impl Way {
    fn new() -> Self {
        let way = Way {
            host: Namespace::new(),
            first: Namespace::new(),
            second: Namespace::new(),
            far: Namespace::new(),
        };
        // Routers find their neighbours by way of link-local addresses.
        for place in [&way.host, &way.first, &way.second, &way.far] {
            place.sh("sysctl -qw net.ipv6.conf.default.addr_gen_mode=0");
        }
        let (first, second, far) = (&way.first.name, &way.second.name, &way.far.name);
        way.host.sh(&format!(
            "ip link add eth0 type veth peer name near netns {first} && ip link set eth0 up
             ip address add 192.0.2.1/30 dev eth0 && ip -6 address add 2001:db8:1::1/64 dev eth0 nodad
             ip link add cali1 type veth peer name eth1"
        ));
        way.first.sh(&format!(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
             ip link set near up && ip address add 192.0.2.2/30 dev near && ip -6 address add 2001:db8:1::2/64 dev near nodad
             ip link add next type veth peer name near netns {second} && ip link set next mtu 1420 up
             ip address add 192.0.2.5/30 dev next && ip -6 address add 2001:db8:2::1/64 dev next nodad
             ip route add 192.0.2.8/30 via 192.0.2.6"
        ));
        way.second.sh(&format!(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
             ip link set near mtu 1420 up && ip address add 192.0.2.6/30 dev near && ip -6 address add 2001:db8:2::2/64 dev near nodad
             ip link add next type veth peer name eth0 netns {far} && ip link set next mtu 1400 up
             ip address add 192.0.2.9/30 dev next && ip -6 address add 2001:db8:3::1/64 dev next nodad
             ip route add 192.0.2.0/30 via 192.0.2.5 && ip -6 route add 2001:db8:1::/64 via 2001:db8:2::1"
        ));
        way.far.sh(
            "ip link set eth0 mtu 1400 up && ip address add 192.0.2.10/30 dev eth0
             ip -6 address add 2001:db8:3::2/64 dev eth0 nodad
             ip route add default via 192.0.2.9 && ip -6 route add default via 2001:db8:3::1",
        );
        way.host
            .sh("ip route add default via 192.0.2.2 && ip -6 route add default via 2001:db8:1::2");
        way.first.sh("ip -6 route add 2001:db8:3::/64 via 2001:db8:2::2");
        // Nobody asks for neighbours from an address that may be another's.
        until("addresses are settled", || {
            [&way.host, &way.first, &way.second, &way.far]
                .iter()
                .all(|place| place.sh("ip -6 address show tentative").is_empty())
        });
        way
    }

    fn document(&self, target: &str) -> String {
        format!(
            "version: 1\nlink:\n  cali1: {{ mtu: {{ underlay: {{ probe: \"{target}\" }}, layers: [ipip] }} }}\n"
        )
    }

    fn plan(&self, target: &str) -> String {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("document.yaml");
        std::fs::write(&path, self.document(target)).unwrap();
        netkeel(&["plan", "--netns", &self.host.name, "-f", path.to_str().unwrap()]).1
    }

    fn mtu(&self) -> String {
        let shown = self
            .host
            .sh("ip -o link show cali1 | sed 's/.* mtu \\([0-9]*\\).*/\\1/'");
        shown.trim().to_owned()
    }
}

#[test]
fn a_path_is_measured_by_what_routers_say_and_by_who_answers() {
    let way = Way::new();
    let measured = |target: &str| -> String {
        let plan = way.plan(target);
        let line = plan
            .lines()
            .find(|line| line.contains("the measured path"))
            .map(str::trim);
        line.unwrap_or_else(|| panic!("{plan}")).to_owned()
    };
    assert_eq!(
        measured("192.0.2.10"),
        "1400 (the measured path to 192.0.2.10) - 20 ipip = 1380"
    );
    assert_eq!(
        measured("192.0.2.6"),
        "1420 (the measured path to 192.0.2.6) - 20 ipip = 1400"
    );
    assert_eq!(
        measured("192.0.2.2"),
        "1500 (the measured path to 192.0.2.2) - 20 ipip = 1480"
    );
    // A router that is silent about what it drops: the size that is answered counts.
    let silent = "nft 'add table inet quiet; add chain inet quiet out { type filter hook output priority 0; }; add rule inet quiet out icmp type destination-unreachable drop'";
    way.second.sh(silent);
    assert!(measured("192.0.2.10").starts_with("1400 "));
    way.second.sh("nft delete table inet quiet");
    // Nobody answers, so nothing is measured, whatever routers say.
    way.far.sh("ip address del 192.0.2.10/30 dev eth0");
    for target in ["192.0.2.10", "203.0.113.1"] {
        let none = way.plan(target);
        assert!(none.contains("was not measured"), "{none}");
    }
    way.host.sh(
        "nft 'add table inet no; add chain inet no out { type filter hook output priority 0; }; add rule inet no out udp dport 33434 drop'",
    );
    let denied = way.plan("192.0.2.2");
    assert!(denied.contains("was not measured"), "{denied}");
    way.host.sh("nft delete table inet no; ip route del default");
    let lost = way.plan("203.0.113.1");
    assert!(
        lost.contains("the MTU of the path to 203.0.113.1 was not measured"),
        "{lost}"
    );
}

#[test]
fn a_path_that_changes_is_followed() {
    let way = Way::new();
    let document = way.document("192.0.2.10");
    let mut service = Daemon::start(&way.host, &document, &["--interval", "1s"]);
    until("the measured path is taken", || way.mtu() == "1380");
    way.second.sh("ip link set next mtu 1300");
    until("a smaller one is followed", || way.mtu() == "1280");
    assert!(service.wait_for("event=path").contains("mtu=1300"));
    way.second.sh("ip link set next mtu 1400");
    // What the kernel has learned holds for ten minutes otherwise.
    way.host.sh("ip route flush cache");
    until("a larger one is followed", || way.mtu() == "1380");
    assert_eq!(service.stop().0, 0);
}
