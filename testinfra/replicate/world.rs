//! The namespaces: a router with a bridge, and nodes at the bridge, each with a pod that bears the
//! address all of them serve.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::namespace::Namespace;
use super::wire::{Capture, Frame, Wanted};
use netkeel_core::replication::limits::{Floor, Limits, Rate};
use netkeel_core::replication::settings::{Mode, Replication, Settings};
use netkeel_core::replication::statistics::PeerState;
use netkeel_core::replication::worker::WorkerStatus;
use netkeel_replicate::supervisor::Supervisor;

/// The address that is served, and networks that clients and routers are in.
pub const VIP: &str = "192.0.2.10";

pub const VIP6: &str = "2001:db8:1::10";

/// A namespace whose interfaces have link-local addresses at once: neighbours are not found without.
fn fresh() -> Namespace {
    let namespace = Namespace::new();
    namespace.sh("sysctl -qw net.ipv6.conf.default.addr_gen_mode=0 net.ipv6.conf.default.accept_dad=0");
    namespace
}

/// Runs commands of `ip` with one process.
fn batch(namespace: &Namespace, commands: &str) {
    namespace.sh(&format!("ip -batch - <<'END'\n{commands}\nEND"));
}

/// A node and its pod.
pub struct Node {
    pub host: Namespace,
    pub pod: Namespace,
    pub address: String,
    pub address6: String,
}

/// A router and nodes behind it; the first node gets what comes for the address.
pub struct World {
    pub router: Namespace,
    pub nodes: Vec<Node>,
}

impl World {
    pub fn new(nodes: u8) -> Self {
        let router = fresh();
        batch(
            &router,
            "link set lo up
             link add br0 type bridge mcast_snooping 0
             address add 10.0.0.254/24 dev br0
             address add fd00::fe/64 dev br0 nodad
             link set br0 up
             route add default dev br0",
        );
        let nodes: Vec<Node> = (1..=nodes).map(|number| Node::new(&router, number)).collect();
        batch(
            &router,
            &format!("route add {VIP} via 10.0.0.1\nroute add {VIP6} via fd00::1"),
        );
        World { router, nodes }
    }

    /// The settings that make the first node serve all the others, with limits that pass all.
    pub fn settings(&self) -> Settings {
        let all = Rate {
            per_second: 100_000_000,
            burst: 100_000_000,
        };
        Settings {
            group: 33,
            peers: self
                .nodes
                .iter()
                .map(|node| node.address.parse().unwrap())
                .collect(),
            mode: Mode::Unicast,
            interface: None,
            ttl: None,
            floor: Floor::default(),
            flows_to_nodes: false,
            vips: vec![
                "192.0.2.0/24".parse().unwrap(),
                "2001:db8:1::/64".parse().unwrap(),
            ],
            ignore_sources: Vec::new(),
            limits: Limits {
                per_source: all,
                per_destination: all,
                copies: all,
                // No test takes so long.
                repeat_after: Duration::from_secs(600),
            },
            dry_run: false,
        }
    }
}

impl Node {
    fn new(router: &Namespace, number: u8) -> Self {
        let (host, pod) = (fresh(), fresh());
        batch(
            router,
            &format!(
                "link add port{number} type veth peer name eth0 netns {}
                 link set port{number} master br0 up",
                host.name
            ),
        );
        batch(
            &host,
            &format!(
                "link set lo up
                 address add 10.0.0.{number}/24 dev eth0
                 address add fd00::{number}/64 dev eth0 nodad
                 link set eth0 up
                 route add default via 10.0.0.254
                 route add default via fd00::fe
                 link add cali0 type veth peer name eth0 netns {}
                 address add 169.254.1.1/32 dev cali0
                 address add fe80::1/64 dev cali0 nodad
                 link set cali0 up
                 route add {VIP} dev cali0
                 route add {VIP6} dev cali0",
                pod.name
            ),
        );
        host.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        batch(
            &pod,
            &format!(
                "link set lo up
                 address add {VIP}/32 dev eth0
                 address add {VIP6}/128 dev eth0 nodad
                 link set eth0 up
                 route add 169.254.1.1 dev eth0
                 route add default via 169.254.1.1
                 route add default via fe80::1 dev eth0"
            ),
        );
        Node {
            address: format!("10.0.0.{number}"),
            address6: format!("fd00::{number}"),
            host,
            pod,
        }
    }

    /// Logs as the kind `nflog` does.
    pub fn log(&self, ignore: &str) {
        self.host.sh(&format!(
            "nft -f - <<'END'
table inet logging {{
    chain packet-too-big {{
        type filter hook prerouting priority raw; policy accept;
        iifname eth0 {ignore} icmp type destination-unreachable icmp code 4 log group 33 snaplen 1500 queue-threshold 64
        iifname eth0 icmpv6 type packet-too-big icmpv6 code 0 log group 33 snaplen 1500 queue-threshold 64
    }}
}}
END"
        ));
    }

    pub fn capture(&self) -> (Capture, Wanted) {
        let text = self
            .host
            .sh("cat /sys/class/net/eth0/ifindex 2>/dev/null; ip -o link show eth0");
        let index = text.lines().last().unwrap().split(':').next().unwrap().trim();
        let index: usize = index.parse().unwrap();
        let too_big = move |frame: &Frame| {
            let packet = &frame.packet;
            frame.link == index
                && match frame.protocol {
                    0x0800 => packet[9] == 1 && packet[20..22] == [3, 4],
                    0x86dd => packet[6] == 58 && packet[40] == 2,
                    _ => false,
                }
        };
        (Capture::new(&self.host.netns()), Box::new(too_big))
    }
}

/// What a document would say.
pub fn wanted(settings: Settings) -> Replication {
    Replication {
        settings,
        peers_file: None,
        cluster: None,
    }
}

/// A worker that runs in a namespace.
pub struct Worker {
    pub supervisor: Supervisor,
    pub said: Vec<String>,
}

impl Worker {
    /// Starts it and waits until it reads its group, or would.
    pub fn begin(node: &Node, settings: Settings) -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_netkeel"));
        let mut worker = Worker {
            supervisor: Supervisor::new(node.host.netns(), Some(program)),
            said: Vec::new(),
        };
        worker.supervisor.want(Some(wanted(settings)));
        worker.until("it has settings", |status| status.statistics.is_some());
        worker
    }

    /// Starts it and waits until it has settled.
    pub fn start(node: &Node, settings: Settings) -> Self {
        let mut worker = Worker::begin(node, settings);
        worker.until("every peer is settled", |status| {
            status.statistics.as_ref().is_some_and(|statistics| {
                let mut peers = statistics.peers.iter();
                peers.all(|peer| peer.state != PeerState::Unresolved)
            })
        });
        worker
    }

    /// Polls until the status is as wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&WorkerStatus) -> bool) -> WorkerStatus {
        let begin = Instant::now();
        loop {
            let notes = self.supervisor.poll();
            self.said.extend(notes.into_iter().map(|note| note.text));
            let status = self.supervisor.status();
            if wanted(&status) {
                return status;
            }
            assert!(
                begin.elapsed() < super::SOON,
                "not so after {:?}: {what}\n{status:#?}\n{:#?}",
                super::SOON,
                self.said
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The statistics once so many packets were received.
    pub fn received(&mut self, packets: u64) -> netkeel_core::replication::statistics::Statistics {
        let status = self.until(&format!("{packets} packets are received"), |status| {
            let statistics = status.statistics.as_ref();
            statistics.is_some_and(|statistics| statistics.received >= packets)
        });
        status.statistics.unwrap()
    }
}
