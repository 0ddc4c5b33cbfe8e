//! A pod of gVisor keeps the MTU that it started with. The agent evicts it, and stops when the new pod is stale, too.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::namespace::Namespace;

const RESULTS: &str = "/var/lib/cni/results";

const CONTAINERD: &str = "/etc/containerd";

const CONFIGURATIONS: &str = "/etc/cni/net.d";

/// What a container runtime makes of a pod: a namespace with a veth, the kernel of gVisor in it, and the CNI's result.
struct Sandbox {
    namespace: Namespace,
    kernel: Child,
    result: String,
}

impl Sandbox {
    fn start(cluster: &Cluster, pod: &str, link: &str) -> Self {
        let node = &cluster.nodes["n1"].namespace;
        let namespace = Namespace::new();
        let name = &namespace.name;
        node.sh(&format!(
            "ip link add {link} type veth peer name eth0 netns {name}; ip link set {link} up"
        ));
        namespace.sh("ip link set lo up; ip link set eth0 up");
        let kernel = Command::new("ip")
            .args([
                "netns",
                "exec",
                name,
                "bash",
                "-c",
                "exec -a runsc-sandbox sleep 1000",
            ])
            .process_group(0)
            .spawn()
            .unwrap();
        let uid = cluster.pod(pod)["metadata"]["uid"].clone();
        let result = json!({
            "kind": "cniCacheV1", "containerId": pod, "ifName": "eth0", "networkName": "pods",
            "cniArgs": [["K8S_POD_NAMESPACE", "work"], ["K8S_POD_NAME", pod], ["K8S_POD_UID", uid]],
            "result": { "interfaces": [{ "name": "eth0", "sandbox": format!("/var/run/netns/{name}") }] },
        });
        let path = format!("{RESULTS}/pods-{pod}-eth0");
        fs::write(&path, result.to_string()).unwrap();
        Sandbox {
            namespace,
            kernel,
            result: path,
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.kernel.kill();
        let _ = self.kernel.wait();
        let _ = fs::remove_file(&self.result);
        self.namespace.sh("ip link del eth0");
    }
}

/// The files of the container runtime, of the CNI and of netkeel are this test's own.
fn own_files() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    for place in [
        "/var/lib/cni",
        "/etc/cni",
        CONTAINERD,
        "/run/netkeel",
        "/var/lib/netkeel",
    ] {
        fs::create_dir_all(place).unwrap();
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    }
    for place in [RESULTS, CONFIGURATIONS] {
        fs::create_dir_all(place).unwrap();
    }
    // Without a runtime nobody knows which configuration a new pod gets.
    fs::write(format!("{CONTAINERD}/config.toml"), "version = 2\n").unwrap();
    let plugins =
        json!({ "cniVersion": "1.0.0", "name": "pods", "plugins": [{ "type": "calico", "mtu": 1440 }] });
    fs::write(
        format!("{CONFIGURATIONS}/10-calico.conflist"),
        plugins.to_string(),
    )
    .unwrap();
}

fn names(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.objects(&["pods", "-n", "work"]);
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
    pods.iter().map(name).collect()
}

/// The events of the agent about evictions, each with its message.
fn events(cluster: &Cluster) -> Vec<String> {
    let events = cluster.objects(&["events", "-n", "default"]);
    let reason = |event: &Value| event["reason"].as_str().unwrap_or_default().to_owned();
    let of = |event: &&Value| reason(event).contains("Evict");
    let mut shown: Vec<String> = events
        .iter()
        .filter(of)
        .map(|event| {
            format!(
                "{} {}",
                reason(event),
                event["message"].as_str().unwrap_or_default()
            )
        })
        .collect();
    shown.sort();
    shown.dedup();
    shown
}

#[test]
fn a_pod_that_keeps_its_mtu_is_evicted_and_a_stale_replacement_stops_its_owner() {
    own_files();
    let cluster = Cluster::start_inside(1);
    cluster.workload();
    cluster.add_pod("web-1");
    let first = Sandbox::start(&cluster, "web-1", "cali1");
    let document = json!({ "version": 1, "link": { "pods": { "match": { "name": "cali*" }, "mtu": 1440 } } });
    let policy = |rollout: Value| cluster.policy(&json!({ "document": document, "rollout": rollout }));

    // It is excluded.
    policy(json!({ "evict": true, "exclude": ["work/*"] }));
    cluster.wait("it is skipped", true, 120, || {
        events(&cluster).contains(&"PodNotEvicted work/web-1: `exclude` has work/*".to_owned())
    });
    assert_eq!(names(&cluster), ["web-1"]);

    policy(json!({ "evict": true }));
    cluster.wait("it is evicted", Vec::<String>::new(), 120, || names(&cluster));
    drop(first);
    let evicted = "PodEvicted work/web-1: its MTU cannot be corrected while it runs".to_owned();
    cluster.wait("the event", true, 30, || events(&cluster).contains(&evicted));

    // The new pod has a wrong MTU, although the configuration of the CNI is right.
    cluster.add_pod("web-2");
    let _second = Sandbox::start(&cluster, "web-2", "cali2");
    let finding = |cluster: &Cluster| {
        let node = cluster.objects(&["netkeelnodes"]);
        let findings = node[0]["status"]["findings"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        findings
            .iter()
            .any(|one| one["code"] == "NK090" && one["object"] == "work/ReplicaSet/web")
    };
    cluster.wait("its owner stops", true, 120, || finding(&cluster));
    std::thread::sleep(Duration::from_secs(45));
    assert_eq!(names(&cluster), ["web-2"]);
    let of_stop =
        |event: &String| event.starts_with("EvictionsStopped work/ReplicaSet/web: its pod work/web-2");
    assert!(events(&cluster).iter().any(of_stop), "{:?}", events(&cluster));
}
