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
                start.elapsed() < Duration::from_secs(20),
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

#[test]
fn forwarding_needs_a_word_where_it_loses_announced_routes() {
    let world = World::new();
    world.announce();
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
