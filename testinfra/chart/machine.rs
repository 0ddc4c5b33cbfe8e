//! A cluster whose controllers run, with pretended kubelets: some nodes live, others are dead, virtual, or not Linux.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::control_plane::{ADMIN, ControlPlane, kubectl, programs};

/// The longest wait for controllers.
const LONG: Duration = Duration::from_secs(300);

/// A running cluster.
pub struct Machine {
    plane: ControlPlane,
    pub admin: PathBuf,
    controllers: Vec<(&'static str, Child)>,
    logs: tempfile::TempDir,
}

impl Machine {
    /// Starts one with so many live nodes.
    pub fn start(live: usize) -> Self {
        let plane = ControlPlane::start();
        let (admin, _) = plane.kubeconfig("admin", ADMIN);
        let mut machine = Machine {
            plane,
            admin,
            controllers: Vec::new(),
            logs: tempfile::tempdir().unwrap(),
        };
        let stages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testinfra/chart/stages.yaml");
        let kubeconfig = format!("--kubeconfig={}", machine.admin.display());
        let alone = ["--leader-elect=false", "--secure-port=0", &kubeconfig];
        machine.spawn("kube-controller-manager", &alone);
        machine.spawn("kube-scheduler", &alone);
        machine.spawn(
            "kwok",
            &[
                "--manage-nodes-with-label-selector=kubelet=pretended",
                "--node-lease-duration-seconds=40",
                &kubeconfig,
                &format!("--config={}", stages.display()),
            ],
        );
        let nodes = (1..=live).map(|number| {
            let labels = json!({ "kubernetes.io/os": "linux", "kubelet": "pretended" });
            node(&format!("n{number}"), &labels)
        });
        machine.create(nodes.collect());
        machine
    }

    /// Adds two nodes without a kubelet, a virtual one and one of Windows.
    pub fn add_others(&self) {
        let linux = json!({ "kubernetes.io/os": "linux" });
        let of_kubelet = json!({ "kubernetes.io/os": "linux", "type": "virtual-kubelet" });
        self.create(vec![
            node("dead-1", &linux),
            node("dead-2", &linux),
            node("virtual", &of_kubelet),
            node("windows", &json!({ "kubernetes.io/os": "windows" })),
        ]);
    }

    fn create(&self, objects: Vec<Value>) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        self.run(&["create", "-f", "-"], &list.to_string());
    }

    fn spawn(&mut self, program: &'static str, arguments: &[&str]) {
        let log = std::fs::File::create(self.logs.path().join(program)).unwrap();
        let child = Command::new(programs(&[program]).join(program))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.controllers.push((program, child));
    }

    /// The configuration of a client with the rights of an account.
    pub fn account(&self, namespace: &str, name: &str) -> PathBuf {
        let token = self.run(&["create", "token", name, "-n", namespace], "");
        self.plane.kubeconfig(name, token.trim()).0
    }

    /// The output of kubectl, which succeeds.
    pub fn run(&self, arguments: &[&str], input: &str) -> String {
        let output = kubectl(&self.admin, arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn object(&self, what: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[&["get", "-o", "json"], what].concat(), "")).unwrap()
    }

    /// Whether a node refuses new pods for a reason.
    pub fn has_taint(&self, node: &str, key: &str) -> bool {
        let node = self.object(&["node", node]);
        let taints = node["spec"]["taints"].as_array().into_iter().flatten();
        taints
            .into_iter()
            .any(|taint| taint["key"] == key && taint["effect"] == "NoSchedule")
    }

    /// The names of all objects of some kinds, with their kinds and namespaces.
    pub fn names(&self, kinds: &str) -> Vec<String> {
        let list = self.object(&[kinds, "--all-namespaces"]);
        let text = |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or("").to_owned();
        let items = list["items"].as_array().unwrap().iter();
        let mut names: Vec<String> = items
            .map(|object| {
                let kind = object["kind"].as_str().unwrap();
                format!("{kind} {}/{}", text(object, "namespace"), text(object, "name"))
            })
            .collect();
        names.sort();
        names
    }

    /// Waits until something holds.
    pub fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + LONG;
        while !holds() {
            if Instant::now() >= end {
                let logs = self.controllers.iter().map(|(program, _)| {
                    let log = std::fs::read_to_string(self.logs.path().join(program));
                    let log = log.unwrap_or_default();
                    let lines: Vec<&str> = log.lines().rev().take(20).collect();
                    format!("{program}:\n{}\n", lines.join("\n"))
                });
                panic!("{what}: not within {LONG:?}\n{}", logs.collect::<String>());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for (_, child) in &mut self.controllers {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A node as its kubelet registers it.
fn node(name: &str, labels: &Value) -> Value {
    let size = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
    let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": labels },
        "status": { "capacity": size, "allocatable": size, "conditions": [ready] },
    })
}
