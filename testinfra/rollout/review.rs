//! `review --cluster` reads the nodes from a real API server, and shows what `--nodes` shows of the same objects.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::Cluster;

/// The directory of the documents and snapshots.
const FLEET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/fleet");

/// The exit status, the output and the messages of a review.
fn review(kubeconfig: &Path, nodes: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_netkeel"))
        .args(["review", "cluster/old.yaml", "cluster/new.yaml"])
        .args(["--snapshots", "snapshots"])
        .args(nodes)
        .env("KUBECONFIG", kubeconfig)
        .current_dir(FLEET)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Creates an object.
fn add(cluster: &Cluster, kind: &str, name: &str, more: &Value) {
    let version = if kind == "Node" {
        "v1"
    } else {
        "netkeel.io/v1alpha1"
    };
    let mut object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name } });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more.clone());
    }
    cluster.apply(&object.to_string());
}

#[test]
fn a_review_of_a_cluster_reads_its_api_server() {
    let cluster = Cluster::start(0);
    let nodes = std::fs::read_to_string(format!("{FLEET}/cluster/nodes.yaml")).unwrap();
    cluster.apply(&nodes);
    let (code, before, notes) = review(cluster.admin(), &["--cluster"]);
    let file = review(cluster.admin(), &["--nodes", "cluster/nodes.yaml"]);
    assert_eq!((code, &before, &notes), (Some(0), &file.1, &file.2));
    assert!(before.contains("first share 1, later share 2"), "{before}");

    let policy = json!({ "name": "pods", "documentHash": "another", "generation": 1, "mode": "enforce" });
    let status = json!({ "status": { "policies": [policy] } });
    add(&cluster, "NetkeelNode", "worker1", &status);
    add(&cluster, "NetkeelNode", "worker2", &status);
    // An agent that has reported nothing, and a node without labels.
    add(&cluster, "NetkeelNode", "worker3", &json!({}));
    add(&cluster, "Node", "plain", &json!({}));
    let (code, states, notes) = review(cluster.admin(), &["--cluster"]);
    let behind = "the old document is not in force on 3 nodes: worker1, worker2, worker3";
    assert!(code == Some(0) && notes.contains(behind), "{states}{notes}");
    let saved = tempfile::NamedTempFile::new().unwrap();
    let printed = cluster.kubectl(&["get", "nodes,netkeelnodes", "-o", "json"], "");
    std::fs::write(saved.path(), printed.unwrap()).unwrap();
    let file = review(cluster.admin(), &["--nodes", saved.path().to_str().unwrap()]);
    assert_eq!((&states, &notes), (&file.1, &file.2));
    // Another node counts as soon as the server has it.
    let labels = json!({ "metadata": { "name": "worker4", "labels": { "role": "worker" } } });
    add(&cluster, "Node", "worker4", &labels);
    let (code, found, _) = review(cluster.admin(), &["--cluster", "--output", "json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(code, Some(1), "{found}");
    assert!(found.to_string().contains("worker4"), "{found}");

    // What the token may not list is not taken for nothing.
    let (code, found, why) = review(&cluster.without_rights(), &["--cluster"]);
    assert_eq!(
        (code, found.as_str(), why.as_str()),
        (Some(1), "", "error: the token may not list nodes (403)\n")
    );
}
