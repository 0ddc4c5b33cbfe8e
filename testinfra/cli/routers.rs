//! Default routes that a router announced, on a real kernel: IPv6 forwarding removes them.

use std::time::{Duration, Instant};

use super::namespace::Namespace;
use super::run::{Done, Scratch};

/// Sends a router advertisement (RFC 4861, section 4.2) with a lifetime of 1800 s by an interface.
const ANNOUNCE: &str = r#"
import socket, struct, sys
name = sys.argv[1]
router = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
router.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
advertisement = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
router.sendto(advertisement, ("ff02::1", 0, 0, socket.if_nametoindex(name)))
"#;

/// A host with an interface eth0 to a router.
struct World {
    host: Namespace,
    router: Namespace,
    scratch: Scratch,
}

impl World {
    fn new() -> Self {
        let (host, router) = (Namespace::new(), Namespace::new());
        for namespace in [&host, &router] {
            namespace.sh("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up");
        }
        host.sh(&format!(
            "ip link add eth0 type veth peer name eth0 netns {}",
            router.name
        ));
        for (namespace, address) in [(&host, "fe80::1"), (&router, "fe80::2")] {
            namespace.sh(&format!(
                "ip link set eth0 up; ip address add {address}/64 dev eth0 nodad"
            ));
        }
        World {
            host,
            router,
            scratch: Scratch::new(&[("announce.py", ANNOUNCE)]),
        }
    }

    fn has_route(&self) -> bool {
        !self.host.sh("ip -6 route show default").is_empty()
    }

    /// Has the router announce itself until the host has the route anew: the kernel looks for announced
    /// routes only in a table that got one since it looked last.
    fn announce(&self) {
        self.host.sh("ip -6 route flush default || true");
        let script = self.scratch.path().join("announce.py");
        let start = Instant::now();
        while !self.has_route() {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "no announcement is accepted"
            );
            self.router
                .sh(&format!("python3 {} eth0; sleep 0.1", script.display()));
        }
    }

    fn netkeel(&self, verb: &[&str], sysctls: &str) -> Done {
        let document = format!("version: 1\nsysctl: {{ {sysctls} }}\n");
        std::fs::write(self.scratch.path().join("document.yaml"), document).unwrap();
        let place = ["-f", "document.yaml", "--netns", &self.host.name];
        self.scratch.run(&[verb, &place].concat())
    }
}

/// Whether the host hears routers is not decided by netkeel where somebody has switched it off.
#[test]
fn forwarding_needs_a_word_where_it_loses_announced_routes() {
    let world = World::new();
    world.announce();
    world.host.sh("sysctl -qw net.ipv6.conf.eth0.accept_ra=0");
    // The kernel removes them although `lo` is not their interface.
    let forwarding = "net.ipv6.conf.lo.forwarding: 1";
    let done = world.netkeel(&["apply"], forwarding);
    assert_eq!(done.code, 1, "{done:?}");
    let hint = "declare net.ipv6.conf.eth0.accept_ra: 2";
    assert!(done.stderr.contains(hint), "{done:?}");
    assert!(world.has_route());
    let done = world.netkeel(&["apply", "--allow-lossy"], forwarding);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("NK029 eth0"), "{done:?}");
    assert!(!world.has_route());
}

/// A host that loses its default route is cut off: the routes are kept, for as long as forwarding is declared.
#[test]
fn forwarding_sets_accept_ra_first_and_gives_it_back_last() {
    let world = World::new();
    world.announce();
    let read = || {
        world
            .host
            .sh("cd /proc/sys/net/ipv6/conf; cat eth0/accept_ra all/forwarding")
    };
    let forwarding = "net.ipv6.conf.all.forwarding: 1";
    // eth0 is that of the default route, and somebody manages the host over it.
    let planned = world.netkeel(&["plan", "--commands"], forwarding);
    let first = planned.stdout.find("sysctl -w net.ipv6.conf.eth0.accept_ra=2");
    let second = planned.stdout.find("sysctl -w net.ipv6.conf.all.forwarding=1");
    assert!(first.is_some() && first < second, "{planned:?}");
    let done = world.netkeel(&["apply"], forwarding);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("NK029 eth0"), "{done:?}");
    assert!(world.has_route());
    assert_eq!(read(), "2\n1\n");
    // It stays while no router is heard, and when the document is applied again.
    world.host.sh("ip -6 route flush default");
    let check = world.netkeel(&["check"], forwarding);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(!check.stdout.contains("NK029"), "{check:?}");
    let done = world.netkeel(&["apply", "--prune"], forwarding);
    assert_eq!((done.code, read().as_str()), (0, "2\n1\n"), "{done:?}");
    // Somebody's write is drift, as of all that netkeel keeps.
    world.host.sh("sysctl -qw net.ipv6.conf.eth0.accept_ra=1");
    assert_eq!(world.netkeel(&["check"], forwarding).code, 2);
    let done = world.netkeel(&["apply"], forwarding);
    assert_eq!((done.code, read().as_str()), (0, "2\n1\n"), "{done:?}");
    world.announce();
    // Somebody who switches hearing routers off means it.
    world.host.sh("sysctl -qw net.ipv6.conf.eth0.accept_ra=0");
    let done = world.netkeel(&["apply", "--prune"], forwarding);
    assert_eq!((done.code, read().as_str()), (0, "0\n1\n"), "{done:?}");
    assert!(done.stdout.contains("NK029 eth0"), "{done:?}");
    world.host.sh("sysctl -qw net.ipv6.conf.eth0.accept_ra=1");
    let done = world.netkeel(&["apply"], forwarding);
    assert_eq!((done.code, read().as_str()), (0, "2\n1\n"), "{done:?}");
    world.announce();
    // It goes with the declaration, with the owner, and with the apply.
    let done = world.netkeel(&["apply", "--prune"], "net.ipv4.tcp_mtu_probing: 1");
    assert_eq!((done.code, read().as_str()), (0, "1\n0\n"), "{done:?}");
    assert!(world.has_route());
    for verb in ["release", "undo"] {
        world.announce();
        let done = world.netkeel(&["apply"], forwarding);
        assert_eq!((done.code, read().as_str()), (0, "2\n1\n"), "{done:?}");
        let done = world.scratch.run(&[verb, "--netns", &world.host.name]);
        assert_eq!((done.code, read().as_str()), (0, "1\n0\n"), "{verb}: {done:?}");
        assert!(world.has_route(), "{verb}");
    }
}

#[test]
fn announced_routes_outlive_forwarding_where_accept_ra_is_2_and_a_release() {
    let world = World::new();
    world.announce();
    let both = "net.ipv6.conf.eth0.accept_ra: 2, net.ipv6.conf.all.forwarding: 1";
    let done = world.netkeel(&["apply"], both);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(world.has_route());
    let read = "cd /proc/sys/net/ipv6/conf; cat eth0/accept_ra all/forwarding";
    assert_eq!(world.host.sh(read), "2\n1\n");
    world.announce();
    let done = world.scratch.run(&["release", "--netns", &world.host.name]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(world.host.sh(read), "1\n0\n");
    assert!(world.has_route());
}

/// `all` clears the switch of an interface, and putting it right switches it on anew.
#[test]
fn a_switch_that_is_put_right_sets_accept_ra_first_too() {
    let world = World::new();
    let sysctls = "net.ipv6.conf.all.forwarding=1 net.ipv6.conf.eth0.forwarding=0";
    world.host.sh(&format!("sysctl -qw {sysctls}"));
    world.announce();
    let cleared = "net.ipv6.conf.all.forwarding: 0, net.ipv6.conf.lo.forwarding: 1";
    let done = world.netkeel(&["apply"], cleared);
    assert_eq!(done.code, 0, "{done:?}");
    let read = "cd /proc/sys/net/ipv6/conf; cat eth0/accept_ra all/forwarding lo/forwarding";
    assert_eq!(world.host.sh(read), "2\n0\n1\n");
    assert!(world.has_route());
}

/// netkeel gives a value back that the document declared and no longer declares, and then the routes end.
#[test]
fn an_accept_ra_that_was_declared_and_then_dropped_is_given_back_with_a_word() {
    let world = World::new();
    world.announce();
    let forwarding = "net.ipv6.conf.all.forwarding: 1";
    let both = format!("net.ipv6.conf.eth0.accept_ra: 2, {forwarding}");
    let read = "cd /proc/sys/net/ipv6/conf; cat eth0/accept_ra all/forwarding";
    let done = world.netkeel(&["apply"], &both);
    assert_eq!(
        (done.code, world.host.sh(read).as_str()),
        (0, "2\n1\n"),
        "{done:?}"
    );
    world.announce();
    let done = world.netkeel(&["apply", "--prune"], forwarding);
    assert_eq!(
        (done.code, world.host.sh(read).as_str()),
        (1, "2\n1\n"),
        "{done:?}"
    );
    let hint = "declare net.ipv6.conf.eth0.accept_ra: 2";
    assert!(done.stderr.contains(hint), "{done:?}");
    let done = world.netkeel(&["apply", "--prune", "--allow-lossy"], forwarding);
    assert_eq!(
        (done.code, world.host.sh(read).as_str()),
        (0, "1\n1\n"),
        "{done:?}"
    );
}
