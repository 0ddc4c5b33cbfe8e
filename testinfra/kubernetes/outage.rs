//! The list of peers while the API server is away, forgets, stalls, or is slow.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::control_plane::{AGENT, ControlPlane};
use super::gate::Gate;
use super::{Heard, PROMPT, START, add_node, admin, grant, inside, nodes, set_node, spawn};
use netkeel_core::replication::cluster_peers::NotReady;

/// A connection without a byte is lost after so long.
const SILENCE: Duration = Duration::from_secs(120);

/// A failure that nothing follows is over after so long.
const OVER: Duration = Duration::from_secs(155);

async fn delete_node(client: &kube::Client, name: &str) {
    let api: Api<Node> = Api::all(client.clone());
    api.delete(name, &DeleteParams::default()).await.unwrap();
}

async fn trouble_ends(heard: &Heard) {
    let end = Instant::now() + OVER + START;
    while heard.trouble().is_some() {
        assert!(Instant::now() < end, "{:?}", heard.trouble());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn the_trouble_ends_where_a_watch_goes_on_without_a_change() {
    let plane = ControlPlane::start();
    inside(async || {
        let client = admin(&plane).await;
        grant(&client, &[("", "nodes")]).await;
        add_node(&client, "n1", &["192.0.2.1"], json!({})).await;
        let (path, _) = plane.kubeconfig("agent", AGENT);
        let gate = Gate::to(plane.port());
        let (heard, _task) = spawn(nodes(NotReady::Keep, &[]), &gate.kubeconfig(&path, plane.port()));
        heard.becomes(&["192.0.2.1"], START).await;
        gate.close();
        heard.has_trouble("", START).await;
        gate.open();
        trouble_ends(&heard).await;
        heard.becomes(&["192.0.2.1"], Duration::ZERO).await;
    });
}

#[test]
fn the_list_outlives_a_minute_without_the_server_and_a_watch_that_is_too_old() {
    let mut plane = ControlPlane::start();
    inside(async || {
        let client = admin(&plane).await;
        grant(&client, &[("", "nodes")]).await;
        add_node(&client, "n1", &["192.0.2.1"], json!({})).await;
        add_node(&client, "n2", &["192.0.2.2"], json!({})).await;
        let (path, _) = plane.kubeconfig("agent", AGENT);
        let gate = Gate::to(plane.port());
        let (heard, _task) = spawn(nodes(NotReady::Keep, &[]), &gate.kubeconfig(&path, plane.port()));
        heard.becomes(&["192.0.2.1", "192.0.2.2"], START).await;

        plane.stop_apiserver();
        heard.has_trouble("", START).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        heard.becomes(&["192.0.2.1", "192.0.2.2"], Duration::ZERO).await;
        plane.start_apiserver();
        let client = admin(&plane).await;
        add_node(&client, "n3", &["192.0.2.3"], json!({})).await;
        heard
            .becomes(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], PROMPT)
            .await;

        // While the follower is away, an address passes to another node, and nobody keeps the changes.
        gate.close();
        heard.has_trouble("", START).await;
        set_node(&client, "n3", &["192.0.2.1"], "True").await;
        delete_node(&client, "n1").await;
        delete_node(&client, "n2").await;
        let mut took = Vec::new();
        let mut before = vec!["192.0.2.1", "192.0.2.2", "192.0.2.3"];
        for (name, address) in [("n4", "192.0.2.4"), ("n5", "192.0.2.5"), ("n6", "192.0.2.6")] {
            gate.close();
            heard.has_trouble("", START).await;
            let client = admin(&plane).await;
            add_node(&client, name, &[address], json!({})).await;
            plane.stop_apiserver();
            plane.compact_etcd();
            plane.start_apiserver();
            heard.becomes(&before, Duration::ZERO).await;
            let troubles = heard.troubles().len();
            let begin = Instant::now();
            gate.open();
            before = ["192.0.2.1", "192.0.2.4", "192.0.2.5", "192.0.2.6"]
                .into_iter()
                .filter(|one| *one <= address)
                .collect();
            heard.becomes(&before, START).await;
            took.push(begin.elapsed());
            let troubles = heard.troubles().split_off(troubles);
            assert!(troubles.iter().any(|why| why.contains("410")), "{troubles:?}");
        }
        assert!(took.iter().any(|one| *one <= PROMPT), "{took:?}");
        let client = admin(&plane).await;
        set_node(&client, "n6", &["192.0.2.7"], "True").await;
        before[3] = "192.0.2.7";
        heard.becomes(&before, PROMPT).await;
    });
}

#[test]
fn a_stalled_stream_is_given_up_and_bookmarks_keep_an_idle_one() {
    let plane = ControlPlane::start();
    inside(async || {
        let client = admin(&plane).await;
        grant(&client, &[("", "nodes")]).await;
        add_node(&client, "n1", &["192.0.2.1"], json!({})).await;
        let (path, _) = plane.kubeconfig("agent", AGENT);
        let follow = || {
            let gate = Gate::to(plane.port());
            let (heard, task) = spawn(nodes(NotReady::Keep, &[]), &gate.kubeconfig(&path, plane.port()));
            (gate, heard, task)
        };
        let (idle_gate, idle, _task) = follow();
        let (stalled_gate, stalled, _task) = follow();
        for heard in [&idle, &stalled] {
            heard.becomes(&["192.0.2.1"], START).await;
        }
        // The change is behind what stalls.
        tokio::time::sleep(Duration::from_secs(1)).await;
        stalled_gate.stall();
        let begin = Instant::now();
        set_node(&client, "n1", &["192.0.2.2"], "True").await;
        idle.becomes(&["192.0.2.2"], PROMPT).await;
        let (connections, bytes) = (idle_gate.connections(), idle_gate.bytes());
        stalled.becomes(&["192.0.2.2"], SILENCE + START).await;
        assert!(
            begin.elapsed() > SILENCE / 2,
            "it was not stalled: {:?}",
            begin.elapsed()
        );
        // The same silence of the objects: the other one still has its connections.
        tokio::time::sleep((SILENCE + START).saturating_sub(begin.elapsed())).await;
        assert_eq!(idle_gate.connections(), connections);
        assert!(idle_gate.bytes() > bytes, "no bookmark in {SILENCE:?}");
        set_node(&client, "n1", &["192.0.2.3"], "True").await;
        idle.becomes(&["192.0.2.3"], PROMPT).await;
        assert_eq!(
            (idle.troubles(), idle_gate.connections()),
            (Vec::new(), connections)
        );
    });
}

#[test]
fn a_list_that_arrives_slowly_counts_once_it_is_complete() {
    const NODES: usize = 100;
    let plane = ControlPlane::start();
    inside(async || {
        let client = admin(&plane).await;
        grant(&client, &[("", "nodes")]).await;
        let api: Api<Node> = Api::all(client.clone());
        let padding = json!({ "metadata": { "annotations": { "padding": "x".repeat(12_000) } } });
        for number in 0..NODES {
            let (name, address) = (format!("n{number}"), format!("10.0.{number}.1"));
            add_node(&client, &name, &[&address], json!({})).await;
            let by = PatchParams::default();
            api.patch(&name, &by, &Patch::Merge(&padding)).await.unwrap();
        }
        let (path, _) = plane.kubeconfig("agent", AGENT);
        let gate = Gate::to(plane.port());
        gate.slow_down();
        let begin = Instant::now();
        let (heard, _task) = spawn(nodes(NotReady::Keep, &[]), &gate.kubeconfig(&path, plane.port()));
        let mut sizes = Vec::new();
        while heard.peers().len() < NODES {
            let elapsed = begin.elapsed();
            assert!(
                elapsed < SILENCE,
                "{} peers after {elapsed:?}: {:?}",
                heard.peers().len(),
                heard.trouble()
            );
            sizes.push(heard.peers().len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(
            begin.elapsed() > Duration::from_secs(2),
            "it was not slow: {:?}",
            begin.elapsed()
        );
        assert!(sizes.iter().all(|size| *size == 0), "{sizes:?}");
        // A change is one event, also on this way.
        set_node(&client, "n0", &["192.0.2.1"], "True").await;
        let end = Instant::now() + PROMPT;
        while !heard.peers().contains(&"192.0.2.1".to_owned()) {
            assert!(Instant::now() < end, "not within {PROMPT:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(heard.troubles(), [""; 0]);
    });
}
