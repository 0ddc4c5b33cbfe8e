//! Evictions against a real API server: disruption budgets hold, a UID is a precondition, one node at a time evicts pods of
//! an owner, and the right is a role of its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::inside;
use super::policies::Cluster;
use netkeel_document::policy::eviction::news::{Eviction, EvictionEnd, EvictionNews, EvictionRequest};
use netkeel_kubernetes::evictions::evict_pods;
use netkeel_kubernetes::slots::Pace;

/// The longest time to connect, and for a Lease to be given back or to expire.
const LONG: Duration = Duration::from_secs(30);

const PACE: Pace = Pace {
    renew: Duration::from_secs(1),
    expires: Duration::from_secs(4),
    look: Duration::from_millis(200),
};

/// The agent of a node, as far as it evicts.
struct Agent {
    requests: mpsc::Sender<EvictionRequest>,
    news: mpsc::Receiver<EvictionNews>,
    task: tokio::task::JoinHandle<()>,
}

impl Agent {
    fn start(cluster: &Cluster, node: &str) -> Self {
        let (requests, asked) = mpsc::channel(1);
        let (answers, news) = mpsc::channel(1);
        let task = evict_pods(cluster.agent(node), node.to_owned(), PACE, asked, answers);
        Agent {
            requests,
            news,
            task: tokio::spawn(task),
        }
    }

    async fn ask(&mut self, request: EvictionRequest) -> EvictionNews {
        self.requests.send(request).await.unwrap();
        let answer = tokio::time::timeout(LONG, self.news.recv()).await;
        answer.unwrap().unwrap()
    }

    async fn evict(&mut self, cluster: &Cluster, pod: &str) -> EvictionEnd {
        let object = cluster.object(&["pod", "-n", "work", pod]);
        let eviction = eviction(cluster, pod, object["metadata"]["uid"].as_str().unwrap());
        self.evict_by(eviction).await
    }

    async fn evict_by(&mut self, eviction: Eviction) -> EvictionEnd {
        match self.ask(EvictionRequest::Evict(eviction)).await {
            EvictionNews::Ended { end, .. } => end,
            other => panic!("{other:?}"),
        }
    }
}

fn eviction(cluster: &Cluster, pod: &str, uid: &str) -> Eviction {
    let policy = cluster.object(&["netkeelpolicy", "a"]);
    let owner = cluster.object(&["replicaset", "-n", "work", "web"]);
    let text = |value: &Value| value["metadata"]["uid"].as_str().unwrap().to_owned();
    Eviction {
        namespace: "work".to_owned(),
        name: pod.to_owned(),
        uid: uid.to_owned(),
        owner: text(&owner),
        policy: "a".to_owned(),
        policy_uid: text(&policy),
        generation: policy["metadata"]["generation"].as_i64().unwrap(),
        node_uid: text(&cluster.object(&["node", "n1"])),
    }
}

/// The ReplicaSet `web` in the namespace `work`, and the policy `a` that evicts.
fn workload(cluster: &Cluster) {
    cluster.create("Namespace", "v1", "work", "", json!({}));
    cluster.create("ServiceAccount", "v1", "default", "work", json!({}));
    let template = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "a", "image": "a" }] },
    });
    let spec =
        json!({ "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "template": template });
    cluster.create("ReplicaSet", "apps/v1", "web", "work", json!({ "spec": spec }));
    let document = json!({ "version": 1, "link": { "pods": { "match": { "name": "cali*" }, "mtu": 1440 } } });
    let policy = json!({ "document": document, "rollout": { "evict": true, "exclude": ["databases/*"] } });
    cluster.policy("a", &policy).unwrap();
}

/// A ready pod of `web` on a node, as a controller, a scheduler and a kubelet make it.
fn pod(cluster: &Cluster, name: &str, node: &str) {
    let owner = cluster.object(&["replicaset", "-n", "work", "web"]);
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "work", "labels": { "app": "web" },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "controller": true,
                "uid": owner["metadata"]["uid"],
            }],
        },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{ "name": "a", "image": "a" }],
        },
    });
    cluster
        .kubectl(&["create", "-f", "-"], &object.to_string())
        .unwrap();
    ready(cluster, name, true);
}

fn ready(cluster: &Cluster, name: &str, is: bool) {
    let status = if is { "True" } else { "False" };
    let patch = json!({ "status": {
        "phase": "Running",
        "conditions": [{ "type": "Ready", "status": status }],
    } });
    status_of(cluster, &["pod", name], &patch);
}

fn status_of(cluster: &Cluster, what: &[&str], patch: &Value) {
    let patch = patch.to_string();
    let arguments = [
        "patch",
        "-n",
        "work",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    cluster.kubectl(&[&arguments[..], what].concat(), "").unwrap();
}

/// What a controller finds of the disruption budget `web`.
fn budget(cluster: &Cluster, allowed: u32, observed: u32) {
    let status = json!({ "status": {
        "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2, "expectedPods": 2,
        "observedGeneration": observed,
    } });
    status_of(cluster, &["poddisruptionbudget", "web"], &status);
}

fn uids(news: EvictionNews) -> Vec<String> {
    match news {
        EvictionNews::Pods(pods) => pods.values().map(|pod| pod.shown()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disruption_budget_holds_and_only_the_pod_with_the_uid_is_evicted() {
    let cluster = Cluster::start_with(&["policies.enabled=true", "eviction.enabled=true"]);
    workload(&cluster);
    pod(&cluster, "web-1", "n1");
    pod(&cluster, "web-2", "n2");
    let spec = json!({ "minAvailable": 2, "selector": { "matchLabels": { "app": "web" } } });
    cluster.create(
        "PodDisruptionBudget",
        "policy/v1",
        "web",
        "work",
        json!({ "spec": spec }),
    );
    inside(async || {
        let mut agent = Agent::start(&cluster, "n1");
        let mut of_node = uids(agent.ask(EvictionRequest::Look).await);
        of_node.sort();
        assert_eq!(of_node, ["agents/agent-n1", "work/web-1"]);
        // The controller has not seen the budget: the server says when to try again.
        match agent.evict(&cluster, "web-1").await {
            EvictionEnd::Refused { after, .. } => assert_eq!(after, Some(Duration::from_secs(10))),
            other => panic!("{other:?}"),
        }
        budget(&cluster, 0, 1);
        match agent.evict(&cluster, "web-1").await {
            EvictionEnd::Refused { after: None, why } => assert!(why.contains("web needs 2"), "{why}"),
            other => panic!("{other:?}"),
        }
        budget(&cluster, 1, 1);
        // Another pod has the name since.
        let old = eviction(&cluster, "web-1", "00000000-0000-0000-0000-000000000000");
        assert_eq!(agent.evict_by(old).await, EvictionEnd::Gone);
        assert_eq!(
            agent.evict_by(eviction(&cluster, "web-9", "u")).await,
            EvictionEnd::Gone
        );
        cluster.object(&["pod", "-n", "work", "web-1"]);
        // The server counted it all the same, until the controller counts anew.
        budget(&cluster, 1, 1);
        assert_eq!(agent.evict(&cluster, "web-1").await, EvictionEnd::Evicted);
        let left = cluster
            .kubectl(&["get", "pods", "-n", "work", "-o", "name"], "")
            .unwrap();
        assert_eq!(left.trim(), "pod/web-2");
        agent.task.abort();
    });
}

#[test]
fn one_node_at_a_time_evicts_pods_of_an_owner_whose_other_pods_are_ready() {
    let cluster = Cluster::start_with(&["policies.enabled=true", "eviction.enabled=true"]);
    workload(&cluster);
    pod(&cluster, "web-1", "n1");
    pod(&cluster, "web-2", "n2");
    pod(&cluster, "web-3", "n2");
    inside(async || {
        let mut one = Agent::start(&cluster, "n1");
        let mut two = Agent::start(&cluster, "n2");
        ready(&cluster, "web-3", false);
        match one.evict(&cluster, "web-1").await {
            EvictionEnd::Busy(why) => assert_eq!(why, "pods of its owner that are not ready: 1 of 3"),
            other => panic!("{other:?}"),
        }
        ready(&cluster, "web-3", true);
        assert_eq!(one.evict(&cluster, "web-1").await, EvictionEnd::Evicted);
        let busy = |end: EvictionEnd, part: &str| match end {
            EvictionEnd::Busy(why) => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?}"),
        };
        // Its replacement is not there yet.
        busy(two.evict(&cluster, "web-2").await, "the node n1 evicts");
        pod(&cluster, "web-4", "n1");
        let end = Instant::now() + LONG;
        // It is given back.
        while let EvictionEnd::Busy(why) = two.evict(&cluster, "web-2").await {
            assert!(Instant::now() < end, "{why}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // The agent of n2 is killed, and its Lease expires.
        two.task.abort();
        pod(&cluster, "web-5", "n2");
        let begun = Instant::now();
        loop {
            match one.evict(&cluster, "web-4").await {
                EvictionEnd::Evicted => break,
                end => busy(end, "the node n2 evicts"),
            }
            assert!(begun.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(begun.elapsed() >= PACE.expires - Duration::from_secs(1));
    });
}

#[test]
fn the_right_to_evict_is_a_role_of_its_own() {
    let cluster = Cluster::start();
    workload(&cluster);
    pod(&cluster, "web-1", "n1");
    let can = |cluster: &Cluster, what: &[&str]| {
        let answer = cluster.kubectl_as("n1", &[&["auth", "can-i", "-A"], what].concat(), "");
        answer.is_ok_and(|answer| answer.trim() == "yes")
    };
    let list = ["list", "pods"];
    let evict = ["create", "pods", "--subresource=eviction"];
    assert!(!can(&cluster, &list) && !can(&cluster, &evict));
    inside(async || {
        let mut agent = Agent::start(&cluster, "n1");
        let news = agent.ask(EvictionRequest::Look).await;
        let why = "the token may not list pods in the cluster (403)".to_owned();
        assert_eq!(news, EvictionNews::Trouble(why));
        // With the right to list pods alone, the eviction itself is refused.
        cluster.create(
            "ClusterRole",
            "rbac.authorization.k8s.io/v1",
            "list",
            "",
            json!({
                "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }],
            }),
        );
        let account = json!({ "kind": "ServiceAccount", "name": "a-netkeel", "namespace": "agents" });
        let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "list" });
        let binding = json!({ "roleRef": role, "subjects": [account] });
        cluster.create(
            "ClusterRoleBinding",
            "rbac.authorization.k8s.io/v1",
            "list",
            "",
            binding,
        );
        let end = Instant::now() + LONG;
        while !can(&cluster, &list) {
            assert!(Instant::now() < end, "the right to list pods does not arrive");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(!can(&cluster, &evict));
        match agent.evict(&cluster, "web-1").await {
            EvictionEnd::Failed(why) => {
                assert_eq!(why, "the token may not create evictions (403)");
            }
            other => panic!("{other:?}"),
        }
    });
    cluster.object(&["pod", "-n", "work", "web-1"]);
    let cluster = Cluster::start_with(&["policies.enabled=true", "eviction.enabled=true"]);
    assert!(can(&cluster, &list) && can(&cluster, &evict));
    assert!(!can(&cluster, &["delete", "pods"]));
    // Nobody takes the Lease of another controller, or for another node.
    let lease = |name: &str, holder: &str| {
        let object = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": name, "namespace": "agents",
                "labels": { "netkeel.io/lease": "eviction", "netkeel.io/owner-uid": "o1" },
            },
            "spec": { "holderIdentity": holder },
        });
        cluster.kubectl_as("n1", &["create", "-f", "-"], &object.to_string())
    };
    let refused = lease("netkeel-evict-o2", "n1").unwrap_err();
    assert!(refused.contains("has the name of the controller"), "{refused}");
    let refused = lease("netkeel-evict-o1", "n2").unwrap_err();
    assert!(refused.contains("no Lease for another node"), "{refused}");
    lease("netkeel-evict-o1", "n1").unwrap();
}
