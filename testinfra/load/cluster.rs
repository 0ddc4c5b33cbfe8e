//! A cluster with so many nodes: the objects, the kubelets' heartbeats, and a count of the bytes between agents and servers.

use std::fs::{self, File};
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use crate::agent::{address, configuration, node};
use crate::audit::{Audit, POLICY};
use crate::control_plane::{ADMIN, ControlPlane, kubectl, programs};

/// The address of the API servers for the test and for kwok, and the one for the agents, whose bytes are counted.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 199, 0, 1);
const AGENTS: Ipv4Addr = Ipv4Addr::new(10, 199, 0, 2);

/// The addresses of a slice, as the controller makes it at most.
const IN_SLICE: usize = 100;

/// The images of a Node, as the kubelet reports them at most.
const IMAGES: usize = 50;

/// Requests of the test beside each other.
const BESIDE: usize = 32;

/// kwok's stage `node/heartbeat`.
const HEARTBEAT: &str = include_str!("heartbeat.yaml");

pub struct Cluster {
    pub client: Client,
    pub audit: Audit,
    pub place: tempfile::TempDir,
    nodes: usize,
    kwok: Option<Child>,
    // The servers end last.
    _plane: ControlPlane,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut kwok) = self.kwok.take() {
            let _ = kwok.kill();
            let _ = kwok.wait();
        }
    }
}

pub fn sh(script: &str) -> String {
    let done = Command::new("sh").args(["-ec", script]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{script}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

/// The chart with policies and the replication, in the namespace `agents`.
fn chart() -> String {
    let home = tempfile::tempdir().unwrap();
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kubernetes/chart");
    let output = Command::new(programs(&["helm"]).join("helm"))
        .args(["template", "a", chart, "--namespace", "agents"])
        .args([
            "--set-json",
            "policies.enabled=true",
            "--set-json",
            "replication.enabled=true",
        ])
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes so many objects, some beside each other.
async fn each<F: Future<Output = ()>>(count: usize, make: impl Fn(usize) -> F) {
    stream::iter((0..count).map(make))
        .buffer_unordered(BESIDE)
        .collect::<Vec<()>>()
        .await;
}

impl Cluster {
    /// Starts a cluster in the network namespace of this process, which has nothing but `lo`.
    pub async fn start(nodes: usize, servers: usize) -> Self {
        sh(&format!(
            "ip link set lo up; ip address add {SERVER}/32 dev lo; ip address add {AGENTS}/32 dev lo
             sysctl -qw net.ipv4.ip_local_port_range='2000 65535'"
        ));
        let place = tempfile::tempdir().unwrap();
        let policy = place.path().join("audit.policy");
        fs::write(&policy, POLICY).unwrap();
        let log = |number: usize| place.path().join(format!("audit-{number}.log"));
        let arguments = |number: usize| {
            vec![
                "--bind-address=0.0.0.0".to_owned(),
                format!("--advertise-address={SERVER}"),
                format!("--audit-policy-file={}", policy.display()),
                format!("--audit-log-path={}", log(number).display()),
                "--audit-log-maxsize=100000".to_owned(),
            ]
        };
        let mut plane = ControlPlane::start_with(SERVER, arguments(0));
        let mut ports = vec![plane.port()];
        for number in 1..servers {
            ports.push(plane.start_another_apiserver(&arguments(number)));
        }
        count_bytes(&ports);
        let (admin, _) = plane.kubeconfig("admin", ADMIN);
        let config = Kubeconfig::read_from(&admin).unwrap();
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.unwrap()).unwrap();
        let mut cluster = Cluster {
            client,
            audit: Audit::new((0..servers).map(log).collect()),
            place,
            nodes,
            kwok: None,
            _plane: plane,
        };
        cluster.prepare(&admin);
        cluster.add_nodes().await;
        cluster.add_agents(&ports).await;
        cluster.add_slices().await;
        cluster.start_kwok(&admin);
        cluster
    }

    fn prepare(&self, admin: &Path) {
        let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "agents" } },
            // A controller makes it elsewhere.
            { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default", "namespace": "agents" } },
        ] });
        let policy = json!({
            "apiVersion": "netkeel.io/v1alpha1", "kind": "NetkeelPolicy", "metadata": { "name": "all" },
            "spec": { "document": {
                "version": 1, "link": { "pods": { "match": { "name": "cali*" }, "mtu": 1440, "rp_filter": "strict" } },
            } },
        });
        for input in [objects.to_string(), chart(), policy.to_string()] {
            let end = Instant::now() + Duration::from_secs(60);
            // The server knows a namespace, an account or a kind a moment after its object.
            loop {
                let output = kubectl(admin, &["apply", "--server-side", "-f", "-"], &input);
                if output.status.success() {
                    break;
                }
                assert!(Instant::now() < end, "{output:?}");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }

    async fn add_nodes(&self) {
        let images: Vec<Value> = (0..IMAGES)
            .map(|number| {
                let name = format!("registry.example/image-{number}");
                json!({ "names": [format!("{name}@sha256:{number:064}"), format!("{name}:v1")], "sizeBytes": 1_000_000 })
            })
            .collect();
        let api: Api<Node> = Api::all(self.client.clone());
        let now = "2026-01-01T00:00:00Z";
        each(self.nodes, |number| {
            let (api, images, name) = (&api, &images, node(number));
            async move {
                let object = json!({ "metadata": { "name": name, "labels": { "kubernetes.io/os": "linux" } } });
                let by = PostParams::default();
                api.create(&by, &serde_json::from_value(object).unwrap()).await.unwrap();
                let status = json!({ "status": {
                    "phase": "Running", "images": images,
                    "addresses": [{ "type": "InternalIP", "address": address(number) }, { "type": "Hostname", "address": name }],
                    "conditions": [{
                        "type": "Ready", "status": "True", "reason": "Test", "message": "", "lastHeartbeatTime": now,
                        "lastTransitionTime": now,
                    }],
                } });
                api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
            }
        })
        .await;
    }

    /// A pod of each agent, and its token, which is bound to the pod.
    async fn add_agents(&self, ports: &[u16]) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "agents");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "agents");
        each(self.nodes, |number| {
            let (pods, accounts, name) = (&pods, &accounts, format!("agent-{}", node(number)));
            async move {
                let pod = json!({
                    "metadata": { "name": name },
                    "spec": {
                        "nodeName": node(number), "serviceAccountName": "a-netkeel", "automountServiceAccountToken": false,
                        "containers": [{ "name": "a", "image": "a" }],
                    },
                });
                let by = PostParams::default();
                pods.create(&by, &serde_json::from_value(pod).unwrap()).await.unwrap();
                let request = json!({
                    "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                    "spec": { "audiences": [], "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": name } },
                });
                let answer: TokenRequest =
                    accounts.create_subresource("token", "a-netkeel", &by, &request).await.unwrap();
                let token = answer.status.unwrap().token;
                let path = configuration(self.place.path(), number);
                let token_file = path.with_extension("token");
                fs::write(&token_file, token).unwrap();
                let text = format!(
                    "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{ name: c, context: {{ cluster: c, user: u, namespace: agents }} }}]\nclusters: [{{ name: c, cluster: {{ server: 'https://{AGENTS}:{}', insecure-skip-tls-verify: true }} }}]\nusers: [{{ name: u, user: {{ tokenFile: '{}' }} }}]\n",
                    ports[number % ports.len()],
                    token_file.display()
                );
                fs::write(path, text).unwrap();
            }
        })
        .await;
    }

    /// The EndpointSlices of the agents' Service, as their controller makes them.
    async fn add_slices(&self) {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), "agents");
        each(self.nodes.div_ceil(IN_SLICE), |slice| {
            let (api, object) = (&api, self.slice(slice, 0));
            async move {
                let by = PostParams::default();
                api.create(&by, &serde_json::from_value(object).unwrap())
                    .await
                    .unwrap();
            }
        })
        .await;
    }

    /// A slice without its first agents.
    fn slice(&self, slice: usize, without: usize) -> Value {
        let agents = (slice * IN_SLICE + without)..self.nodes.min((slice + 1) * IN_SLICE);
        let endpoints: Vec<Value> = agents
            .map(|number| {
                json!({
                    "addresses": [address(number)], "nodeName": node(number), "zone": "zone-a",
                    "conditions": { "ready": true, "serving": true, "terminating": false },
                    "targetRef": {
                        "kind": "Pod", "namespace": "agents", "name": format!("agent-{}", node(number)),
                        "uid": "00000000-0000-0000-0000-000000000000",
                    },
                })
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": format!("a-netkeel-{slice}"),
                "labels": { "kubernetes.io/service-name": "a-netkeel" },
            },
            "endpoints": endpoints,
            "ports": [{ "name": "metrics", "port": 9440, "protocol": "TCP" }],
        })
    }

    /// The first agent goes. Returns the size of the slice that changes, bytes.
    pub async fn remove_an_agent(&self) -> usize {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), "agents");
        let object = json!({ "endpoints": self.slice(0, 1)["endpoints"] });
        let patch = Patch::Merge(&object);
        let found = api
            .patch("a-netkeel-0", &PatchParams::default(), &patch)
            .await
            .unwrap();
        serde_json::to_vec(&found).unwrap().len()
    }

    fn start_kwok(&mut self, admin: &Path) {
        let at = |name: &str| self.place.path().join(name);
        fs::write(at("stages.yaml"), HEARTBEAT).unwrap();
        let log = File::create(at("kwok.log")).unwrap();
        let child = Command::new(programs(&["kwok"]).join("kwok"))
            .arg(format!("--kubeconfig={}", admin.display()))
            .arg(format!("--config={}", at("stages.yaml").display()))
            .args(["--manage-all-nodes=true", "--node-lease-duration-seconds=0"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.kwok = Some(child);
    }

    /// The heartbeats of all Nodes so far: the latest one of each, as text.
    pub async fn heartbeats(&self) -> Vec<String> {
        let api: Api<Node> = Api::all(self.client.clone());
        let list = api.list(&ListParams::default()).await.unwrap();
        let ready = |node: Node| {
            let mut conditions = node.status?.conditions?.into_iter();
            let time = conditions.find(|one| one.type_ == "Ready")?.last_heartbeat_time?;
            Some(time.0.to_string())
        };
        list.items.into_iter().filter_map(ready).collect()
    }

    /// The number of NetkeelNodes.
    pub async fn reported(&self) -> usize {
        let kind = GroupVersionKind::gvk("netkeel.io", "v1alpha1", "NetkeelNode");
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind));
        let list = api.list_metadata(&ListParams::default()).await.unwrap();
        list.items.len()
    }

    pub fn kwok_log(&self) -> String {
        fs::read_to_string(self.place.path().join("kwok.log")).unwrap_or_default()
    }

    pub fn path(&self) -> PathBuf {
        self.place.path().to_owned()
    }
}

/// Counts what goes to and comes from the API servers at the address of the agents.
fn count_bytes(ports: &[u16]) {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let ports = ports.join(", ");
    sh(&format!(
        "nft -f - <<'RULES'
        table inet load {{
            counter up {{ }}
            counter down {{ }}
            chain in {{
                type filter hook input priority 0;
                ip daddr {AGENTS} tcp dport {{ {ports} }} counter name up
                ip saddr {AGENTS} tcp sport {{ {ports} }} counter name down
            }}
        }}\nRULES"
    ));
}

/// The bytes of IP packets from the agents and to them so far.
pub fn bytes() -> (u64, u64) {
    let text = sh("nft -j list counters table inet load");
    let found: Value = serde_json::from_str(&text).unwrap();
    let of = |name: &str| {
        let counters = found["nftables"].as_array().unwrap().iter();
        let counter = counters
            .map(|one| &one["counter"])
            .find(|one| one["name"] == name);
        counter.unwrap()["bytes"].as_u64().unwrap()
    };
    (of("up"), of("down"))
}
