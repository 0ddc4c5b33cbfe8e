//! The peers of a cluster against a real API server: Nodes and EndpointSlices come and go, the server stops and starts
//! again, a token is no longer good, a right is missing, and 5,000 Nodes are there.

#![allow(clippy::disallowed_methods, reason = "the test reads files that it knows")]
#![allow(clippy::print_stdout, reason = "the results")]

mod chart;
#[allow(dead_code, reason = "the test of the load has more API servers")]
mod control_plane;
mod evictions;
mod gate;
mod outage;
mod policies;
mod slots;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;

use control_plane::{ADMIN, AGENT, ControlPlane};
use netkeel_core::replication::cluster_peers::{ClusterPeers, NotReady, PeerFamily, PeerNews, PeerObjects};
use netkeel_kubernetes::connection::Connection;
use netkeel_kubernetes::follow::follow;

/// The longest time from a change in the cluster to the right list.
const PROMPT: Duration = Duration::from_secs(1);

/// The reports of the follower.
#[derive(Default)]
struct Reports {
    peers: Option<BTreeSet<IpAddr>>,
    /// The trouble of now.
    trouble: Option<String>,
    /// All troubles so far.
    troubles: Vec<String>,
}

/// The reports, which a task adds to.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Reports>>);

impl Heard {
    fn take(&self, news: PeerNews) {
        let mut heard = self.0.lock().unwrap();
        match news {
            PeerNews::Peers { addresses, .. } => {
                (heard.peers, heard.trouble) = (Some(addresses), None);
            }
            PeerNews::Trouble(why) => {
                heard.trouble = Some(why.clone());
                heard.troubles.push(why);
            }
        }
    }

    fn peers(&self) -> Vec<String> {
        let heard = self.0.lock().unwrap();
        heard.peers.iter().flatten().map(ToString::to_string).collect()
    }

    fn trouble(&self) -> Option<String> {
        self.0.lock().unwrap().trouble.clone()
    }

    fn troubles(&self) -> Vec<String> {
        self.0.lock().unwrap().troubles.clone()
    }

    /// Waits for a list.
    async fn becomes(&self, wanted: &[&str], within: Duration) {
        let end = Instant::now() + within;
        while self.peers() != wanted {
            assert!(
                Instant::now() < end,
                "the list is {:?}, not {wanted:?}, after {within:?}; trouble: {:?}",
                self.peers(),
                self.trouble()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn has_trouble(&self, part: &str, within: Duration) {
        let end = Instant::now() + within;
        while !self.trouble().is_some_and(|why| why.contains(part)) {
            assert!(
                Instant::now() < end,
                "no trouble with {part:?}: {:?}",
                self.trouble()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn inside<T>(work: impl AsyncFnOnce() -> T) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(work())
}

/// Follows until the returned task is aborted.
fn spawn(wanted: ClusterPeers, path: &std::path::Path) -> (Heard, tokio::task::JoinHandle<()>) {
    let heard = Heard::default();
    let (told, connection) = (heard.clone(), Connection::Kubeconfig(path.to_owned()));
    let (sender, mut news) = tokio::sync::mpsc::channel(1);
    tokio::spawn(follow(connection, wanted, 0.0, sender));
    let task = tokio::spawn(async move {
        while let Some(news) = news.recv().await {
            told.take(news);
        }
    });
    (heard, task)
}

async fn admin(plane: &ControlPlane) -> Client {
    let (path, _) = plane.kubeconfig("admin", ADMIN);
    let config = Kubeconfig::read_from(path).unwrap();
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn nodes(not_ready: NotReady, selector: &[(&str, &str)]) -> ClusterPeers {
    let pairs = selector
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ClusterPeers {
        objects: PeerObjects::Nodes {
            selector: pairs.collect::<BTreeMap<_, _>>(),
            not_ready,
        },
        families: PeerFamily::all(),
    }
}

fn endpoints() -> ClusterPeers {
    ClusterPeers {
        objects: PeerObjects::Endpoints {
            namespace: "netkeel".to_owned(),
            service: "agents".to_owned(),
        },
        families: BTreeSet::from([PeerFamily::Ipv4]),
    }
}

/// Lets the group of agents list and watch.
async fn grant(client: &Client, resources: &[(&str, &str)]) {
    let rules: Vec<_> = resources
        .iter()
        .map(|(group, name)| json!({ "apiGroups": [group], "resources": [name], "verbs": ["list", "watch"] }))
        .collect();
    let role = json!({ "metadata": { "name": "agents" }, "rules": rules });
    let binding = json!({
        "metadata": { "name": "agents" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agents" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "agents" }],
    });
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let by = PostParams::default();
    roles
        .create(&by, &serde_json::from_value(role).unwrap())
        .await
        .unwrap();
    bindings
        .create(&by, &serde_json::from_value(binding).unwrap())
        .await
        .unwrap();
}

async fn add_node(client: &Client, name: &str, addresses: &[&str], labels: serde_json::Value) {
    let node = json!({ "metadata": { "name": name, "labels": labels } });
    let api: Api<Node> = Api::all(client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(node).unwrap())
        .await
        .unwrap();
    set_node(client, name, addresses, "True").await;
}

async fn set_node(client: &Client, name: &str, addresses: &[&str], ready: &str) {
    let api: Api<Node> = Api::all(client.clone());
    let addresses: Vec<_> = addresses
        .iter()
        .map(|address| json!({ "type": "InternalIP", "address": address }))
        .collect();
    let now = "2026-01-01T00:00:00Z";
    let condition = json!({ "type": "Ready", "status": ready, "reason": "Test", "message": "", "lastHeartbeatTime": now, "lastTransitionTime": now });
    let status = json!({ "status": { "addresses": addresses, "conditions": [condition] } });
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

async fn slice(client: &Client, name: &str, service: &str, addresses: &[&str]) {
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": service } },
        "endpoints": addresses.iter().map(|one| json!({ "addresses": [one] })).collect::<Vec<_>>(),
    });
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), "netkeel");
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object))
        .await
        .unwrap();
}

#[test]
fn the_list_follows_nodes() {
    let plane = ControlPlane::start();
    inside(async || {
        let client = admin(&plane).await;
        grant(&client, &[("", "nodes")]).await;
        let (path, _) = plane.kubeconfig("agent", AGENT);
        let linux = json!({ "kubernetes.io/os": "linux" });
        add_node(&client, "n1", &["192.0.2.1", "2001:db8::1"], linux.clone()).await;
        add_node(
            &client,
            "w1",
            &["192.0.2.9"],
            json!({ "kubernetes.io/os": "windows" }),
        )
        .await;
        let (heard, _task) = spawn(nodes(NotReady::Drop, &[("kubernetes.io/os", "linux")]), &path);
        let (kept, _task) = spawn(nodes(NotReady::Keep, &[("kubernetes.io/os", "linux")]), &path);
        heard.becomes(&["192.0.2.1", "2001:db8::1"], START).await;

        add_node(&client, "n2", &["192.0.2.2"], linux.clone()).await;
        heard
            .becomes(&["192.0.2.1", "192.0.2.2", "2001:db8::1"], PROMPT)
            .await;
        set_node(&client, "n1", &["192.0.2.11"], "True").await;
        heard.becomes(&["192.0.2.2", "192.0.2.11"], PROMPT).await;
        set_node(&client, "n1", &["192.0.2.11"], "Unknown").await;
        heard.becomes(&["192.0.2.2"], PROMPT).await;
        kept.becomes(&["192.0.2.2", "192.0.2.11"], PROMPT).await;
        let api: Api<Node> = Api::all(client.clone());
        api.delete("n2", &DeleteParams::default()).await.unwrap();
        heard.becomes(&[], PROMPT).await;
        kept.becomes(&["192.0.2.11"], PROMPT).await;
        // An address that two nodes name for a while stays when either goes.
        add_node(&client, "n3", &["192.0.2.11"], linux).await;
        api.delete("n1", &DeleteParams::default()).await.unwrap();
        heard.becomes(&["192.0.2.11"], PROMPT).await;
        kept.becomes(&["192.0.2.11"], PROMPT).await;
        assert_eq!(heard.trouble(), None);
    });
}

/// The longest time to connect and list.
const START: Duration = Duration::from_secs(10);

#[test]
fn the_list_outlives_the_api_server_and_a_token() {
    let mut plane = ControlPlane::start();
    inside(async || {
        let client = admin(&plane).await;
        grant(&client, &[("discovery.k8s.io", "endpointslices")]).await;
        let namespace = json!({ "metadata": { "name": "netkeel" } });
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .create(
                &PostParams::default(),
                &serde_json::from_value(namespace).unwrap(),
            )
            .await
            .unwrap();
        slice(&client, "agents-a", "agents", &["192.0.2.1", "192.0.2.2"]).await;
        slice(&client, "others", "others", &["192.0.2.200"]).await;
        let (path, token) = plane.kubeconfig("agent", AGENT);
        let (heard, _task) = spawn(endpoints(), &path);
        heard.becomes(&["192.0.2.1", "192.0.2.2"], START).await;

        // While the server is away, the list holds.
        plane.stop_apiserver();
        heard.has_trouble("", START).await;
        assert_eq!(heard.peers(), ["192.0.2.1", "192.0.2.2"]);
        plane.start_apiserver();
        let client = admin(&plane).await;
        // Changes of that time arrive after the longest pause between two attempts.
        slice(&client, "agents-a", "agents", &["192.0.2.2"]).await;
        slice(&client, "agents-b", "agents", &["192.0.2.1", "192.0.2.3"]).await;
        heard
            .becomes(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], START)
            .await;
        slice(&client, "agents-b", "agents", &["192.0.2.3"]).await;
        heard.becomes(&["192.0.2.2", "192.0.2.3"], PROMPT).await;

        // The server no longer takes the token; the file has a new one a little later.
        plane.stop_apiserver();
        plane.accept(&[(ADMIN, "admin", "system:masters"), ("renewed", "agent", "agents")]);
        plane.start_apiserver();
        heard.has_trouble("401", START).await;
        assert_eq!(heard.peers(), ["192.0.2.2", "192.0.2.3"]);
        std::fs::write(&token, "renewed").unwrap();
        let client = admin(&plane).await;
        slice(&client, "agents-b", "agents", &["192.0.2.4"]).await;
        heard.becomes(&["192.0.2.2", "192.0.2.4"], START).await;
    });
}

#[test]
fn a_missing_right_is_named_and_the_list_comes_once_it_is_granted() {
    let plane = ControlPlane::start();
    inside(async || {
        let client = admin(&plane).await;
        add_node(&client, "n1", &["192.0.2.1"], json!({})).await;
        let (path, _) = plane.kubeconfig("agent", AGENT);
        let (heard, _task) = spawn(nodes(NotReady::Keep, &[]), &path);
        heard
            .has_trouble("the token may not list nodes in the cluster (403)", START)
            .await;
        assert_eq!(heard.peers(), [""; 0]);
        grant(&client, &[("", "nodes")]).await;
        heard.becomes(&["192.0.2.1"], START).await;
    });
}

/// The resident memory of this process, KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn five_thousand_nodes_are_a_small_list() {
    const NODES: usize = 5_000;
    /// The most that the list may take, KiB.
    const MEMORY: u64 = 48 * 1024;
    let plane = ControlPlane::start();
    inside(async || {
        let client = admin(&plane).await;
        grant(&client, &[("", "nodes")]).await;
        let images: Vec<_> = (0..50)
            .map(|number| json!({ "names": [format!("registry.example/image-{number}@sha256:{number:064}"), format!("registry.example/image-{number}:v1")], "sizeBytes": 1_000_000 }))
            .collect();
        let api: Api<Node> = Api::all(client.clone());
        let make = |number: usize| {
            let (api, images) = (&api, &images);
            async move {
                let name = format!("n{number}");
                let address = format!("10.{}.{}.1", number / 250, number % 250);
                let node = json!({ "metadata": { "name": name } });
                let by = PostParams::default();
                api.create(&by, &serde_json::from_value(node).unwrap())
                    .await
                    .unwrap();
                let status = json!({ "status": { "addresses": [{ "type": "InternalIP", "address": address }], "images": images } });
                let patch = Patch::Merge(status);
                api.patch_status(&name, &PatchParams::default(), &patch)
                    .await
                    .unwrap();
            }
        };
        stream::iter((0..NODES).map(make))
            .buffer_unordered(16)
            .collect::<Vec<()>>()
            .await;
        let (path, _) = plane.kubeconfig("agent", AGENT);
        let before = resident();
        let (heard, _task) = spawn(nodes(NotReady::Keep, &[]), &path);
        let end = Instant::now() + Duration::from_secs(60);
        while heard.peers().len() < NODES {
            assert!(
                Instant::now() < end,
                "{} peers: {:?}",
                heard.peers().len(),
                heard.trouble()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let more = resident().saturating_sub(before);
        println!("{NODES} nodes of 50 images: {more} KiB more than before");
        assert!(more < MEMORY, "{more} KiB");
        set_node(&client, "n0", &["192.0.2.1"], "True").await;
        let end = Instant::now() + PROMPT;
        while !heard.peers().contains(&"192.0.2.1".to_owned()) {
            assert!(Instant::now() < end, "not within {PROMPT:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}
