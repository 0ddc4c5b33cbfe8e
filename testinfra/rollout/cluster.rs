//! A cluster with an agent in a network namespace for each node.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use crate::control_plane::{ADMIN, AGENT, ControlPlane, kubectl, programs};
use crate::namespace::Namespace;

/// The address of the API server, on a bridge to which every node has a link.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 199, 0, 1);

const NETKEEL: &str = env!("CARGO_BIN_EXE_netkeel");

/// A cluster of nodes.
pub struct Cluster {
    pub nodes: BTreeMap<String, Agent>,
    admin: PathBuf,
    plane: ControlPlane,
    logs: tempfile::TempDir,
    /// Agents run in the namespaces of their nodes, and take the files of this machine for those of the node.
    inside: bool,
}

/// The agent of a node.
pub struct Agent {
    pub namespace: Namespace,
    child: Child,
}

impl Agent {
    /// The resident memory that no file backs, KiB.
    pub fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Pauses the agent in a namespace for a time, or ends its pause.
pub fn pause(netns: &str, time: &str) {
    let pause = ["pause", "--netns", netns, time];
    let output = Command::new(env!("CARGO_BIN_EXE_netkeel"))
        .args(pause)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ip(script: &str) {
    let done = Command::new("sh").args(["-ec", script]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{script}: {said}");
}

/// The chart with policies, in the namespace `agents`.
fn chart() -> String {
    let home = tempfile::tempdir().unwrap();
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kubernetes/chart");
    let output = Command::new(programs(&["helm"]).join("helm"))
        .args(["template", "a", chart, "--namespace", "agents"])
        .args([
            "--set-json",
            "policies.enabled=true",
            "--set-json",
            "eviction.enabled=true",
        ])
        .env("HOME", home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

impl Cluster {
    /// Starts a control plane and the agents of so many nodes.
    pub fn start(nodes: usize) -> Self {
        Self::start_as(nodes, false)
    }

    /// The same with agents that read the files of the node, too: `--netns` leaves out the configuration of the CNI.
    pub fn start_inside(nodes: usize) -> Self {
        Self::start_as(nodes, true)
    }

    fn start_as(nodes: usize, inside: bool) -> Self {
        // This thread, and what it starts, is in a network namespace without a name.
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip(&format!(
            "ip link set lo up; ip link add nodes type bridge; ip address add {SERVER}/24 dev nodes; ip link set nodes up"
        ));
        let plane = ControlPlane::start_at(SERVER);
        let (admin, _) = plane.kubeconfig("admin", ADMIN);
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            admin,
            plane,
            logs: tempfile::tempdir().unwrap(),
            inside,
        };
        // The nodes have no documents of their own.
        std::fs::create_dir(cluster.logs.path().join("desired.d")).unwrap();
        let names: Vec<String> = (1..=nodes).map(|number| format!("n{number}")).collect();
        let mut objects = vec![
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "agents" } }),
            // A controller makes it elsewhere.
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default", "namespace": "agents" } }),
        ];
        objects.extend(
            names
                .iter()
                .map(|name| json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } })),
        );
        cluster.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string());
        cluster.apply(&chart());
        let established = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ];
        cluster.kubectl(&established, "").unwrap();
        let pods = names.iter().map(|name| {
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": format!("agent-{name}"), "namespace": "agents" },
                "spec": {
                    "nodeName": name,
                    "serviceAccountName": "a-netkeel",
                    "automountServiceAccountToken": false,
                    "containers": [{ "name": "a", "image": "a" }],
                },
            })
        });
        let pods: Vec<Value> = pods.collect();
        // kubectl refuses a list of nothing.
        if !pods.is_empty() {
            cluster.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": pods }).to_string());
        }
        for (number, name) in names.iter().enumerate() {
            let agent = cluster.agent(name, number);
            cluster.nodes.insert(name.clone(), agent);
        }
        cluster
    }

    fn agent(&self, name: &str, number: usize) -> Agent {
        let namespace = Namespace::new();
        let (netns, end) = (&namespace.name, format!("v{number}"));
        ip(&format!(
            "ip link add {end} type veth peer name eth0 netns {netns}; ip link set {end} master nodes up"
        ));
        let address = Ipv4Addr::new(10, 199, 0, u8::try_from(number + 10).unwrap());
        namespace.sh(&format!(
            "ip link set lo up; ip address add {address}/24 dev eth0; ip link set eth0 up"
        ));
        let pod = format!("agent-{name}");
        let token = ["create", "token", "a-netkeel", "-n", "agents"];
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", &pod];
        let token = self.kubectl(&[&token[..], &bound[..]].concat(), "").unwrap();
        let (configuration, _) = self.plane.kubeconfig(&pod, token.trim());
        let log = File::create(self.logs.path().join(name)).unwrap();
        let mut command = match self.inside {
            true => Command::new("ip"),
            false => Command::new(NETKEEL),
        };
        match self.inside {
            true => command.args(["netns", "exec", netns, NETKEEL, "run"]),
            false => command.args(["run", "--netns", netns]),
        };
        let child = command
            .args(["--node-name", name, "--interval", "20s"])
            .arg("--file")
            .arg(self.logs.path().join("desired.d"))
            .env("KUBECONFIG", configuration)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Agent { namespace, child }
    }

    /// The configuration of the administrator.
    pub fn admin(&self) -> &Path {
        &self.admin
    }

    /// The configuration of an account without rights.
    pub fn without_rights(&self) -> PathBuf {
        self.plane.kubeconfig("nobody", AGENT).0
    }

    /// The log of a node's agent.
    pub fn log(&self, node: &str) -> String {
        std::fs::read_to_string(self.logs.path().join(node)).unwrap_or_default()
    }

    /// Ends the agent of a node at once.
    pub fn kill(&mut self, node: &str) {
        let agent = self.nodes.get_mut(node).unwrap();
        agent.child.kill().unwrap();
        agent.child.wait().unwrap();
    }

    /// The output, or the error.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let output = kubectl(&self.admin, arguments, input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    /// Applies objects.
    pub fn apply(&self, objects: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        let arguments = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        // The server knows a namespace, an account or a kind a moment after its object.
        while let Err(why) = self.kubectl(&arguments, objects) {
            assert!(Instant::now() < end, "{why}");
        }
    }

    /// Applies the policy `a`.
    pub fn policy(&self, spec: &Value) {
        let object = json!({
            "apiVersion": "netkeel.io/v1alpha1",
            "kind": "NetkeelPolicy",
            "metadata": { "name": "a" },
            "spec": spec,
        });
        self.apply(&object.to_string());
    }

    /// The namespace `work` with the ReplicaSet `web`.
    pub fn workload(&self) {
        let labels = json!({ "app": "web" });
        let containers = json!([{ "name": "a", "image": "a" }]);
        let objects = json!([
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "work" } },
            { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default", "namespace": "work" } },
            {
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": { "name": "web", "namespace": "work" },
                "spec": {
                    "replicas": 1, "selector": { "matchLabels": labels },
                    "template": { "metadata": { "labels": labels }, "spec": { "containers": containers } },
                },
            },
        ]);
        self.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string());
    }

    /// A ready pod of `web` on n1, as a controller, a scheduler and a kubelet make it.
    pub fn add_pod(&self, name: &str) {
        let web = self.kubectl(
            &[
                "get",
                "replicaset",
                "-n",
                "work",
                "web",
                "-o",
                "jsonpath={.metadata.uid}",
            ],
            "",
        );
        let owner = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "controller": true, "uid": web.unwrap(),
        });
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "work", "labels": { "app": "web" }, "ownerReferences": [owner],
            },
            "spec": {
                "nodeName": "n1", "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
                "containers": [{ "name": "a", "image": "a" }],
            },
        });
        self.apply(&pod.to_string());
        let status = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
        let patch = [
            "patch",
            "pod",
            name,
            "-n",
            "work",
            "--subresource=status",
            "--type=merge",
            "-p",
        ];
        self.kubectl(&[&patch[..], &[&status.to_string()]].concat(), "")
            .unwrap();
    }

    /// A pod of the namespace `work`.
    pub fn pod(&self, name: &str) -> Value {
        let text = self.kubectl(&["get", "pod", name, "-n", "work", "-o", "json"], "");
        serde_json::from_str(&text.unwrap()).unwrap()
    }

    /// The objects of a kind.
    pub fn objects(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat(), "");
        let list: Value = serde_json::from_str(&text.unwrap()).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// The slots: the node that holds each, and its phase.
    pub fn slots(&self) -> BTreeMap<String, String> {
        let leases = self.objects(&["leases", "-n", "agents", "-l", "netkeel.io/lease=slot"]);
        held(&leases)
    }

    /// Follows the slots from now on.
    pub fn watch(&self) -> Watch {
        let path = self.logs.path().join("watch");
        let child = Command::new(programs(&["kubectl"]).join("kubectl"))
            .args([
                "get",
                "leases",
                "-n",
                "agents",
                "-l",
                "netkeel.io/lease=slot",
                "--watch",
            ])
            .args(["-o", "jsonpath={.metadata.name}={.spec.holderIdentity}{\"\\n\"}"])
            .env("KUBECONFIG", &self.admin)
            .stdout(File::create(&path).unwrap())
            .spawn()
            .unwrap();
        Watch { path, child }
    }

    /// Waits until something holds.
    pub fn wait<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        wanted: T,
        within: u64,
        now: impl Fn() -> T,
    ) {
        let end = Instant::now() + Duration::from_secs(within);
        loop {
            let found = now();
            if found == wanted {
                return;
            }
            if Instant::now() >= end {
                let logs: Vec<String> = self.nodes.keys().take(3).map(|node| self.log(node)).collect();
                panic!(
                    "{what}: {found:?}, not {wanted:?}\n{:?}\n{}",
                    self.slots(),
                    logs.join("\n")
                );
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// The node that holds each slot, and its phase.
fn held(leases: &[Value]) -> BTreeMap<String, String> {
    let held = leases.iter().filter_map(|lease| {
        let node = lease["spec"]["holderIdentity"].as_str()?;
        let phase = lease["metadata"]["annotations"]["netkeel.io/phase"].as_str()?;
        Some((node.to_owned(), phase.to_owned()))
    });
    held.collect()
}

/// Every change of a slot, in its order.
pub struct Watch {
    path: PathBuf,
    child: Child,
}

impl Watch {
    /// The most slots that were held at one time so far, and the number of changes.
    pub fn most(&self) -> (usize, usize) {
        let text = std::fs::read_to_string(&self.path).unwrap();
        let mut held = BTreeMap::new();
        let (mut most, mut changes) = (0, 0);
        for (name, holder) in text.lines().filter_map(|line| line.split_once('=')) {
            held.insert(name, holder);
            changes += 1;
            most = most.max(held.values().filter(|holder| !holder.is_empty()).count());
        }
        (most, changes)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
