//! A policy rolls out over the agents of a cluster, with a real API server: by its share, by its slots, and by the probes
//! that confirm it. A review reads the nodes of one.

mod cluster;
#[path = "../kubernetes/control_plane.rs"]
#[allow(dead_code, reason = "other tests stop the server and restore its data")]
mod control_plane;
mod evictions;
#[path = "../support/namespace.rs"]
#[allow(dead_code, reason = "a test of the program")]
mod namespace;
mod review;
mod table;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use cluster::{Agent, Cluster, SERVER, pause};
use netkeel_document::policy::percent::is_among_first;
use table::Tables;

const NODES: usize = 20;

/// The most memory of an idle agent that no file backs, in a build for tests, KiB.
const IDLE_MEMORY: u64 = 16 * 1024;

/// The nodes on which a sysctl has a value.
fn with_sysctl(cluster: &Cluster, key: &str, value: &str) -> BTreeSet<String> {
    let nodes = cluster.nodes.iter().filter(|(_, agent)| {
        let found = agent
            .namespace
            .sh(&format!("cat /proc/sys/{}", key.replace('.', "/")));
        found.trim() == value
    });
    nodes.map(|(name, _)| name.clone()).collect()
}

/// The MTU of `eth0` on each node, all different ones.
fn mtus(cluster: &Cluster) -> BTreeSet<String> {
    let agents = cluster.nodes.values();
    let mtus = agents.map(|agent| {
        agent
            .namespace
            .sh("cat /sys/class/net/eth0/mtu || ip -o link show eth0")
    });
    mtus.map(|text| {
        text.split("mtu ")
            .last()
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .trim()
            .to_owned()
    })
    .collect()
}

fn condition<'a>(node: &'a Value, kind: &str) -> &'a Value {
    let conditions = node["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|one| one["type"] == kind);
    found.unwrap_or(&Value::Null)
}

/// The number of nodes whose policy is in force, and of those that say that they rolled back.
fn reported(cluster: &Cluster) -> (usize, usize) {
    let nodes = cluster.objects(&["netkeelnodes"]);
    let of = |reason: &str| {
        nodes
            .iter()
            .filter(|node| condition(node, "Applied")["reason"] == reason)
            .count()
    };
    let in_force = nodes
        .iter()
        .filter(|node| node["status"]["policies"][0]["name"] == "a");
    (in_force.count(), of("RolledBack"))
}

/// The version of each object that the agents write, but the Leases; and the number of their events.
fn written(cluster: &Cluster) -> (Vec<String>, usize) {
    let nodes = cluster.objects(&["netkeelnodes"]);
    let versions = nodes
        .iter()
        .map(|node| node["metadata"]["resourceVersion"].to_string());
    (
        versions.collect(),
        cluster.objects(&["events", "-n", "default"]).len(),
    )
}

fn step(what: &str) {
    #[allow(clippy::print_stderr, reason = "progress of a long test")]
    {
        eprintln!("{what}");
    }
}

#[test]
fn a_policy_rolls_out_by_its_share_its_slots_and_its_probes() {
    let mut cluster = Cluster::start(NODES);
    let all: BTreeSet<String> = cluster.nodes.keys().cloned().collect();
    let first: BTreeSet<String> = all
        .iter()
        .filter(|node| is_among_first(node, 10))
        .cloned()
        .collect();
    assert!(!first.is_empty() && first.len() < NODES, "{first:?}");
    for agent in cluster.nodes.values() {
        agent.namespace.sh(&format!(
            "ip link add cali1 type veth peer name pod1; ip link set cali1 up; ip link set pod1 up
             ip route add default via {SERVER}"
        ));
    }
    let watch = cluster.watch();
    let mut tables = Tables::new();

    step("a share of the nodes");
    let mtu = json!({ "underlay": "default-route", "layers": ["ipip"] });
    let pods = json!({ "match": { "name": "cali*" }, "mtu": mtu, "pod_mtu": "leave" });
    let forward = json!({ "version": 1, "sysctl": { "net.ipv4.ip_forward": 1 }, "link": { "pods": pods } });
    let rollout = |percent: u8| json!({ "percent": percent, "maxUnavailable": 2 });
    cluster.policy(&json!({ "document": forward, "rollout": rollout(10) }));
    let forwards = |cluster: &Cluster| with_sysctl(cluster, "net.ipv4.ip_forward", "1");
    cluster.wait("10 % forward", first.clone(), 120, || forwards(&cluster));
    cluster.wait("they report", (first.len(), 0), 60, || reported(&cluster));
    tables.check(&cluster, "10 % of the nodes");

    step("all of them, two at a time");
    cluster.policy(&json!({ "document": forward, "rollout": rollout(100) }));
    cluster.wait("all forward", all.clone(), 240, || forwards(&cluster));
    cluster.wait("all report", (NODES, 0), 60, || reported(&cluster));
    cluster.wait("no slot is held", 0, 60, || cluster.slots().len());
    tables.check(&cluster, "all nodes");
    let (most, changes) = watch.most();
    assert!(
        most <= 2 && changes >= 3 * NODES,
        "{most} at one time, {changes} changes"
    );

    step("a change that the probes do not confirm");
    let narrow = |mtu: u16, expect: u16| {
        let probes = json!([{ "path_mtu": SERVER.to_string(), "protocol": "udp", "expect": expect }]);
        // Its other end is that of the server's side, and no pod's.
        let eth0 = json!({ "mtu": mtu, "pod_mtu": "leave" });
        json!({
            "document": {
                "version": 1, "sysctl": { "net.ipv4.ip_forward": 1 }, "link": { "eth0": eth0, "pods": pods },
            },
            "rollout": rollout(100),
            "confirm": { "probes": probes },
        })
    };
    cluster.policy(&narrow(1400, 1500));
    cluster.wait("two fail", (NODES, 2), 180, || reported(&cluster));
    let failed = cluster.slots();
    assert_eq!(failed.values().collect::<Vec<_>>(), ["Failed", "Failed"]);
    tables.check(&cluster, "the change failed on two nodes");
    // Those that wait say so a moment later.
    let knows = |node: &&Value| {
        let message = condition(node, "Applied")["message"].as_str();
        message.is_some_and(|why| why.contains("the change failed on 2"))
    };
    cluster.wait("the others know it", NODES - 2, 60, || {
        let nodes = cluster.objects(&["netkeelnodes"]);
        nodes.iter().filter(knows).count()
    });
    // Nobody else tries, and idle agents write nothing but their Leases.
    let before = written(&cluster);
    std::thread::sleep(std::time::Duration::from_secs(40));
    assert_eq!(written(&cluster), before);
    assert_eq!(cluster.slots(), failed);
    let memory: Vec<u64> = cluster.nodes.values().map(Agent::memory).collect();
    step(&format!("the memory of the idle agents is {memory:?} KiB"));
    assert!(memory.iter().all(|kib| *kib < IDLE_MEMORY), "{memory:?} KiB");
    assert_eq!(mtus(&cluster), BTreeSet::from(["1500".to_owned()]));
    for (name, node) in cluster
        .objects(&["netkeelnodes"])
        .iter()
        .map(|node| (node["metadata"]["name"].as_str().unwrap(), node))
    {
        let applied = condition(node, "Applied");
        let (reason, message) = (
            applied["reason"].as_str().unwrap(),
            applied["message"].as_str().unwrap(),
        );
        match failed.contains_key(name) {
            true => {
                assert!(
                    reason == "RolledBack" && message.contains("path MTU to"),
                    "{message}"
                );
                let last = &node["status"]["lastApply"];
                assert!(
                    last["result"] == "RolledBack" && last["undone"].as_u64() > Some(0),
                    "{last}"
                );
                assert!(!last["id"].as_str().unwrap().is_empty());
            }
            false => assert!(
                reason == "Waiting" && message.contains("the change failed on 2"),
                "{name}: {reason} {message}"
            ),
        }
    }
    let events = cluster.objects(&["events", "-n", "default"]);
    let of_rollback: BTreeSet<&str> = events
        .iter()
        .filter(|event| event["reason"] == "PolicyRolledBack" && event["type"] == "Warning")
        .map(|event| event["involvedObject"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(of_rollback, failed.keys().map(String::as_str).collect());

    step("a change that they confirm");
    // The path to the server has 1500 bytes before, which is no less than the 1400 that are expected.
    cluster.policy(&narrow(1400, 1400));
    let narrow = BTreeSet::from(["1400".to_owned()]);
    cluster.wait("all have the MTU", narrow, 300, || mtus(&cluster));
    cluster.wait("no slot is held", (0, (NODES, 0)), 60, || {
        (cluster.slots().len(), reported(&cluster))
    });
    assert!(watch.most().0 <= 2, "{:?}", watch.most());
    tables.check(&cluster, "all nodes have another MTU");

    step("drift on a node that is paused");
    let name = cluster.nodes["n1"].namespace.name.clone();
    pause(&name, "1h");
    cluster.nodes["n1"]
        .namespace
        .sh("sysctl -qw net.ipv4.ip_forward=0; ip link set cali1 mtu 1300");
    tables.check(&cluster, "n1 is paused, and somebody changed it");
    pause(&name, "--end");
    cluster.wait("it is corrected", all.clone(), 120, || forwards(&cluster));
    tables.check(&cluster, "n1 is corrected");

    step("the slot of a killed agent");
    // The probe of a host that is not there keeps a node between its slot and its change for 15 s.
    let slow = json!({
        "document": { "version": 1, "sysctl": { "net.ipv4.ip_forward": 0 } },
        "rollout": { "maxUnavailable": 1 },
        "confirm": { "probes": [{ "path_mtu": "10.199.0.250", "protocol": "udp", "expect": 1500 }] },
    });
    cluster.policy(&slow);
    cluster.wait("a slot is taken", 1, 60, || cluster.slots().len());
    let (killed, phase) = cluster.slots().pop_first().unwrap();
    assert_eq!(phase, "Taken");
    cluster.kill(&killed);
    cluster.wait("another node has it", false, 180, || {
        cluster.slots().contains_key(&killed)
    });
    cluster.wait("another node changes", 1, 60, || {
        with_sysctl(&cluster, "net.ipv4.ip_forward", "0").len().min(1)
    });
    assert!(!with_sysctl(&cluster, "net.ipv4.ip_forward", "0").contains(&killed));
    assert!(watch.most().0 <= 2, "{:?}", watch.most());
    tables.finish();
}
