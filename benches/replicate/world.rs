//! The wire: a namespace that events come from, one of a node that replicates, and one that copies go
//! to. The peers are entries of the neighbour table, as many as are needed.

use std::process::Command;

use netkeel_core::name::netns::Netns;
use netkeel_kernel::namespace::enter::inside;

/// Most copies.
pub const PEERS: u32 = 100;

/// The NFLOG group.
pub const GROUP: u16 = 33;

/// The namespaces, gone when this is.
pub struct World {
    pub router: Netns,
    pub node: Netns,
    pub sink: Netns,
    names: [String; 3],
    /// The link-layer address of the node's interface to the router.
    pub station: [u8; 6],
}

/// The address of a peer.
pub fn peer(number: u32) -> String {
    format!("10.1.0.{}", number + 2)
}

/// The link-layer address of a peer.
pub fn station(number: u32) -> [u8; 6] {
    [2, 0, 0, 0, 1, number as u8]
}

impl World {
    pub fn new() -> Self {
        let names = ["router", "node", "sink"].map(|role| format!("nkb{}-{role}", std::process::id()));
        for name in &names {
            run(Command::new("ip").args(["netns", "add", name]));
        }
        let [router, node, sink] = &names;
        sh(
            node,
            &format!(
                "ip link set lo up
                 ip link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 netns {router}
                 ip link add lan0 type veth peer name lan0 netns {sink}
                 ip address add 10.0.0.1/24 dev eth0
                 ip address add 10.1.0.1/24 dev lan0
                 ip link set eth0 up
                 ip link set lan0 up
                 sysctl -qw net.ipv6.conf.all.disable_ipv6=1"
            ),
        );
        sh(
            router,
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set eth0 up",
        );
        sh(
            sink,
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set lan0 up",
        );
        let neighbours: String = (0..PEERS)
            .map(|number| {
                let [a, b, c, d, e, f] = station(number);
                let station = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
                format!(
                    "neigh add {} lladdr {station} nud permanent dev lan0\n",
                    peer(number)
                )
            })
            .collect();
        sh(node, &format!("ip -batch - <<'END'\n{neighbours}END"));
        sh(node, &format!("nft -f - <<'END'
table inet logging {{
    chain packet-too-big {{
        type filter hook prerouting priority raw; policy accept;
        iifname eth0 icmp type destination-unreachable icmp code 4 log group {GROUP} snaplen 1500 queue-threshold 64
    }}
}}
END"));
        World {
            router: Netns::named(router),
            node: Netns::named(node),
            sink: Netns::named(sink),
            names,
            station: [2, 0, 0, 0, 0, 1],
        }
    }

    /// Events that came to the node. Those that its interface dropped before, when its queue was
    /// full, are nobody's loss here.
    pub fn came(&self) -> u64 {
        self.counters("eth0:")[1]
    }

    /// Frames that were sent to the peers, also those that the other end had no room for.
    pub fn sent(&self) -> u64 {
        let counters = self.counters("lan0:");
        counters[9] + counters[11]
    }

    /// The counters of an interface of the node, as /proc/net/dev has them.
    fn counters(&self, name: &str) -> Vec<u64> {
        let table = inside(&self.node, || {
            std::fs::read_to_string("/proc/thread-self/net/dev")
        });
        let table = table.unwrap().unwrap();
        let line = table.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap()
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect()
    }

    /// The index of an interface of a namespace.
    pub fn index(netns: &Netns, name: &str) -> i32 {
        let found = inside(netns, || nix::net::if_::if_nametoindex(name)).unwrap();
        found.unwrap() as i32
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn sh(netns: &str, script: &str) {
    run(Command::new("ip").args(["netns", "exec", netns, "sh", "-ec", script]));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}
