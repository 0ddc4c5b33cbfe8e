//! `netkeel probe replicate` across three nodes with services of their own: the router sends the packet, and each fault
//! of a node gives that node and its reason.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::daemon::{Daemon, netkeel, netkeel_inside, program};
use super::world::{VIP, VIP6, Worker, World};

/// The document of a node.
const DOCUMENT: &str = "version: 1
persist: no
nflog: { packet-too-big: { interfaces: [eth0], group: 33 } }
replicate:
  nflog: packet-too-big
  peers: [10.0.0.1, 10.0.0.2, 10.0.0.3]
  vips: [192.0.2.0/24, 2001:db8:1::/64]
";

/// The arrival on a node, and its reasons.
type Found = (String, Vec<Value>);

/// Three nodes, each with its service.
struct Nodes {
    world: World,
    services: Vec<Daemon>,
}

impl Nodes {
    /// Starts nodes after a script on the third one, each with its document.
    fn start(script: &str, documents: [&str; 3]) -> Self {
        let world = World::new(3);
        world.nodes[2].host.sh(script);
        let mut nodes = Nodes {
            world,
            services: Vec::new(),
        };
        for (at, document) in documents.into_iter().enumerate() {
            let service = nodes.service(at, document, &[]);
            nodes.services.push(service);
        }
        for service in &mut nodes.services {
            service.wait_for("event=full-scan");
        }
        nodes.settle();
        nodes
    }

    fn service(&self, at: usize, document: &str, more: &[&str]) -> Daemon {
        let listen = ["--listen", "0.0.0.0:9440"];
        Daemon::start_inside(&self.world.nodes[at].host, document, &[&listen, more].concat())
    }

    /// Waits until no worker waits for the addresses of its peers.
    fn settle(&self) {
        for (service, node) in self.services.iter().zip(&self.world.nodes) {
            if !fs::read_to_string(&service.document)
                .unwrap()
                .contains("replicate:")
            {
                continue;
            }
            let start = Instant::now();
            loop {
                let (_, text) = netkeel_inside(&node.host, &["status", "--output", "json"]);
                let worker =
                    serde_json::from_str(&text).map_or(Value::Null, |status: Value| status["worker"].clone());
                let peers = worker["statistics"]["peers"].as_array();
                let settled = peers.is_some_and(|peers| {
                    !peers.is_empty() && peers.iter().all(|peer| peer["state"] != "unresolved")
                });
                if settled || worker["health"] == "failed" {
                    break;
                }
                assert!(start.elapsed() < super::SOON, "{text}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Replaces the service of a node.
    fn restart(&mut self, at: usize, document: &str, more: &[&str]) {
        // The service before has the lock and the port.
        self.services.remove(at).stop();
        let mut service = self.service(at, document, more);
        service.wait_for("event=full-scan");
        self.services.insert(at, service);
        self.settle();
    }

    /// Probes from the router: the exit status, the verdict, and by node its arrival and its reasons.
    fn probe(&self, more: &[&str]) -> (i32, String, Vec<Found>) {
        let all = "10.0.0.1,10.0.0.2,10.0.0.3";
        let line = ["probe", "replicate", "--peers", all, "--output", "json"];
        let done = Command::new(program())
            .args(line)
            .args(["--netns", &self.world.router.name])
            .args(more)
            .output()
            .unwrap();
        let code = done.status.code().unwrap_or(-1);
        let result: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&done.stderr)));
        let schema = netkeel(&["schema", "replicas"]).1;
        let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&result)
            .map(|error| error.to_string())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}: {result}");
        let nodes = result["nodes"].as_array().unwrap().iter();
        let nodes = nodes.map(|node| {
            let reasons = node["reasons"].as_array().unwrap().clone();
            let arrival = node["arrival"].as_str().unwrap();
            let arrival = match node.get("refusal") {
                Some(refusal) => format!("{arrival} {}", refusal.as_str().unwrap()),
                None => arrival.to_owned(),
            };
            (arrival, reasons)
        });
        let nodes = nodes.collect();
        (code, result["verdict"].as_str().unwrap().to_owned(), nodes)
    }

    /// Probes until the result is as expected: a worker may not know its peers yet, and a busy machine answers late.
    fn becomes(&self, more: &[&str], expected: impl Fn(i32, &str, &[Found]) -> bool) {
        let start = Instant::now();
        loop {
            let (code, verdict, nodes) = self.probe(more);
            if expected(code, &verdict, &nodes) {
                return;
            }
            assert!(
                start.elapsed() < super::SOON,
                "{more:?}: exit {code}, {verdict}: {nodes:?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Probes until the first two nodes do as they should and the third has the exit status, arrival and reasons.
    fn third(&self, code: i32, arrival: &str, expected: impl Fn(&[Value]) -> bool) {
        self.becomes(&["--vip", VIP], |found, _, nodes| {
            let [first, second, (third, reasons)] = nodes else {
                panic!("{nodes:?}")
            };
            (first, second) == (&found_without("original"), &found_without("copy"))
                && (found, third.as_str()) == (code, arrival)
                && expected(reasons)
        });
    }
}

/// An arrival without a reason.
fn found_without(arrival: &str) -> Found {
    (arrival.to_owned(), vec![])
}

/// Whether nodes got nothing, and are not to blame.
fn got_nothing(nodes: &[Found]) -> bool {
    nodes.iter().all(|node| *node == found_without("nothing"))
}

#[test]
fn a_packet_reaches_every_node_and_changes_no_path() {
    let nodes = Nodes::start(":", [DOCUMENT; 3]);
    let expected = ["original", "copy", "copy"].map(|arrival| (arrival.to_owned(), vec![]));
    for vip in [VIP, VIP6] {
        nodes.becomes(&["--vip", vip], |code, verdict, nodes| {
            (code, verdict) == (0, "replicated") && nodes == expected
        });
    }
    for node in &nodes.world.nodes {
        for (namespace, peer) in [
            (&node.host, "10.0.0.254"),
            (&node.pod, "10.0.0.254"),
            (&node.pod, "fd00::fe"),
        ] {
            let route = namespace.sh(&format!("ip route get {peer}"));
            assert!(!route.contains("mtu"), "{route}");
        }
    }
    // A refusal names the reason, and blames no other node.
    for (mtu, refusal) in [("500", "below-floor"), ("1500", "not-below-link")] {
        nodes.becomes(&["--vip", VIP, "--mtu", mtu], |code, _, nodes| {
            code == 2 && got_nothing(&nodes[1..]) && nodes[0].0 == format!("refused {refusal}")
        });
    }
    // A node that does not answer is unknown, whatever the others say.
    let mut nodes = nodes;
    nodes.services.pop().unwrap().stop();
    nodes.third(1, "unknown", |reasons| {
        reasons
            .first()
            .is_some_and(|reason| reason["reason"] == "no-answer")
    });
}

#[test]
fn the_gateway_in_ignored_sources_is_the_reason_on_the_node_that_gets_the_packet() {
    let by_rules = DOCUMENT.replace("group: 33", "group: 33, ignore_sources: [10.0.0.0/24]");
    let nodes = Nodes::start(":", [&by_rules, DOCUMENT, DOCUMENT]);
    nodes.becomes(&["--vip", VIP], |code, verdict, found| {
        let (arrival, reasons) = &found[0];
        (code, verdict) == (2, "not-replicated")
            && arrival == "nothing"
            && reasons.first().is_some_and(|reason| reason["code"] == "NK038")
            && got_nothing(&found[1..])
    });
    // The same list of the worker: the packet is logged, and refused.
    let probed_until = |document: &str, is_so: &dyn Fn(&Found) -> bool| {
        nodes.services[0].write(document);
        nodes.becomes(&["--vip", VIP], |code, _, found| code == 2 && is_so(&found[0]));
    };
    let by_worker = DOCUMENT.replace("  vips", "  ignore_sources: [10.0.0.0/24]\n  vips");
    probed_until(&by_worker, &|(arrival, _)| arrival == "refused ignored-source");
    // Rules that cut the packet off: its token does not reach the worker.
    let cut = DOCUMENT.replace("group: 33", "group: 33, snaplen: 68");
    let truncated = json!({"reason": "unreadable", "refusal": "truncated", "count": 1});
    probed_until(&cut, &|(arrival, reasons)| {
        let found = reasons.iter().any(|reason| reason["code"] == "NK036");
        arrival == "nothing" && found && reasons.contains(&truncated)
    });
}

#[test]
fn each_fault_of_a_peer_is_found_there() {
    let mut nodes = Nodes::start(
        "ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up",
        [DOCUMENT; 3],
    );
    let host = |script: &str| nodes.world.nodes[2].host.sh(script);
    // The rules are gone, and nobody makes them again.
    host(&format!("{} pause 5m", program()));
    host("nft delete table inet netkeel");
    nodes.third(2, "nothing", |reasons| {
        reasons
            .first()
            .is_some_and(|reason| reason["reason"] == "rules-missing")
    });
    host(&format!("{} pause --end", program()));

    // Strict filtering, and a default route by another interface.
    host("ip route replace default dev up0; sysctl -qw net.ipv4.conf.eth0.rp_filter=1");
    nodes.restart(2, DOCUMENT, &[]);
    let finding = json!({"reason": "finding", "code": "NK039", "subject": "eth0"});
    nodes.third(2, "copy", |reasons| *reasons == [finding.clone()]);
    nodes.world.nodes[2]
        .host
        .sh("sysctl -qw net.ipv4.conf.eth0.rp_filter=0; ip route replace default via 10.0.0.254 dev eth0");

    // Another program reads the group.
    let settings = {
        let mut settings = nodes.world.settings();
        settings.peers.truncate(1);
        settings
    };
    nodes.restart(2, "version: 1\n", &[]);
    let other = Worker::begin(&nodes.world.nodes[2], settings);
    nodes.restart(2, DOCUMENT, &[]);
    nodes.third(2, "nothing", |reasons| {
        reasons.contains(&json!({"reason": "worker-failed"}))
    });
    drop(other);

    // A service that only observes; one without `replicate`.
    nodes.restart(2, "version: 1\n", &[]);
    nodes.third(2, "nothing", |reasons| {
        *reasons == [json!({"reason": "not-configured"})]
    });

    // The rules name a port of a bridge.
    let bridged = "ip link add br1 type bridge; ip link set br1 address $(cat /sys/class/net/eth0/address); ip address flush dev eth0; \
         ip link set eth0 master br1; ip address add 10.0.0.3/24 dev br1; ip link set br1 up; ip route replace default via 10.0.0.254";
    nodes.world.nodes[2].host.sh(bridged);
    nodes.restart(2, DOCUMENT, &[]);
    let finding = json!({"reason": "finding", "code": "NK062", "subject": "nflog.packet-too-big.interfaces"});
    nodes.third(2, "nothing", |reasons| reasons.contains(&finding));
}

#[test]
fn a_node_that_the_others_do_not_name_gets_no_copy() {
    let fewer = DOCUMENT.replace(", 10.0.0.3]", "]");
    let mut nodes = Nodes::start(":", [&fewer, DOCUMENT, DOCUMENT]);
    let not_a_peer = json!({"reason": "not-a-peer", "by": "10.0.0.1"});
    nodes.third(2, "nothing", |reasons| *reasons == [not_a_peer.clone()]);
    // A dry run sends no copies.
    nodes.restart(0, DOCUMENT, &["--dry-run"]);
    let dry = ("original".to_owned(), vec![json!({"reason": "dry-run"})]);
    nodes.becomes(&["--vip", VIP], |code, verdict, nodes| {
        (code, verdict) == (2, "not-replicated") && nodes[0] == dry && got_nothing(&nodes[1..])
    });
}

#[test]
fn the_service_of_a_router_probes_each_minute_and_names_the_node_at_fault() {
    let mut nodes = Nodes::start(":", [DOCUMENT; 3]);
    let document = format!(
        "version: 1
persist: no
probes:
  copies: {{ replicate: {VIP}, nodes: [10.0.0.1, 10.0.0.2, 10.0.0.3] }}
"
    );
    let mut router = Daemon::start_inside(&nodes.world.router, &document, &["--interval", "1s"]);
    router.wait_for("event=probe-ok probe=copies result=\"replicated to all nodes\"");
    let (_, text) = netkeel_inside(&nodes.world.router, &["status"]);
    assert!(
        text.contains("probe copies: as expected: replicated, at "),
        "{text}"
    );
    let (without, _) = DOCUMENT.split_once("replicate:").unwrap();
    nodes.services[2].write(without);
    router.wait_for("event=probe-failed probe=copies result=\"not replicated: see 10.0.0.3\"");
    let (_, text) = netkeel_inside(&nodes.world.router, &["status"]);
    assert!(
        text.contains("probe copies: NOT as expected: not-replicated, see 10.0.0.3, at "),
        "{text}"
    );
    // A node that cannot be asked is unknown.
    nodes.services.pop().unwrap().stop();
    router.wait_for(
        "event=probe-unknown probe=copies result=\"replication unknown: 10.0.0.3 could not be asked, or cannot know\"",
    );
    assert_eq!(router.stop().0, 0);
}
