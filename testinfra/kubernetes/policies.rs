//! Policies and the states of nodes against a real API server: the definitions, the rights of an agent with a token that
//! is bound to its pod, and the list of policies while the server stops and its data go back to an older state.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::chart::rendered;
use super::control_plane::{ADMIN, ControlPlane, kubectl};
use super::inside;
use netkeel_core::cluster_policies::PolicyNews;
use netkeel_document::policy::Policy;
use netkeel_kubernetes::connection::Connection;
use netkeel_kubernetes::node_state::{NodeState, write_node_state};
use netkeel_kubernetes::policies::follow_policies;

/// The longest time from a change in the cluster to the right list.
const PROMPT: Duration = Duration::from_secs(1);

/// The longest time from the deletion of a policy to the list without it: two lists, 3 s apart.
const MISSED: Duration = Duration::from_secs(6);

/// The longest time to connect and list, and from a reconnect to the right list.
const START: Duration = Duration::from_secs(10);

/// A cluster with the chart, the nodes n1 and n2, and a pod of the agent on each.
pub(super) struct Cluster {
    plane: ControlPlane,
    admin: PathBuf,
}

impl Cluster {
    pub(super) fn start() -> Self {
        Self::start_with(&["policies.enabled=true"])
    }

    /// The same with other values of the chart.
    pub(super) fn start_with(values: &[&str]) -> Self {
        let plane = ControlPlane::start();
        let (admin, _) = plane.kubeconfig("admin", ADMIN);
        let cluster = Cluster { plane, admin };
        cluster.create("Namespace", "v1", "agents", "", json!({}));
        // A controller makes it elsewhere.
        cluster.create("ServiceAccount", "v1", "default", "agents", json!({}));
        let chart = rendered(values);
        // The server knows a kind a moment after its definition.
        cluster
            .kubectl(
                &["apply", "--server-side", "--validate=strict", "-f", "-"],
                &chart,
            )
            .unwrap();
        cluster
            .kubectl(
                &[
                    "wait",
                    "--for=condition=Established",
                    "--timeout=30s",
                    "crd",
                    "--all",
                ],
                "",
            )
            .unwrap();
        for node in ["n1", "n2"] {
            cluster.create(
                "Node",
                "v1",
                node,
                "",
                json!({ "metadata": { "labels": { "role": "edge" } } }),
            );
            let spec = json!({
                "spec": {
                    "nodeName": node,
                    "serviceAccountName": "a-netkeel",
                    "automountServiceAccountToken": false,
                    "containers": [{ "name": "a", "image": "a" }],
                }
            });
            cluster.create("Pod", "v1", &format!("agent-{node}"), "agents", spec);
        }
        cluster
    }

    /// The output, or the error.
    pub(super) fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        Self::run(&self.admin, arguments, input)
    }

    /// The same with the rights of the agent on a node.
    pub(super) fn kubectl_as(&self, node: &str, arguments: &[&str], input: &str) -> Result<String, String> {
        match self.agent(node) {
            Connection::Kubeconfig(path) => Self::run(&path, arguments, input),
            Connection::Inferred => Err("no configuration".to_owned()),
        }
    }

    fn run(configuration: &Path, arguments: &[&str], input: &str) -> Result<String, String> {
        let output = kubectl(configuration, arguments, input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }

    pub(super) fn create(&self, kind: &str, version: &str, name: &str, namespace: &str, more: Value) {
        let mut object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name } });
        for (key, value) in more.as_object().unwrap() {
            if key == "metadata" {
                object["metadata"]["labels"] = value["labels"].clone();
            } else {
                object[key] = value.clone();
            }
        }
        let mut arguments = vec!["create", "-f", "-"];
        if !namespace.is_empty() {
            arguments.extend(["-n", namespace]);
        }
        self.kubectl(&arguments, &object.to_string()).unwrap();
    }

    /// An object, which is there.
    pub(super) fn object(&self, what: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], what].concat(), "");
        serde_json::from_str(&text.unwrap()).unwrap()
    }

    pub(super) fn policy(&self, name: &str, spec: &Value) -> Result<String, String> {
        let object = json!({
            "apiVersion": "netkeel.io/v1alpha1",
            "kind": "NetkeelPolicy",
            "metadata": { "name": name },
            "spec": spec,
        });
        self.kubectl(
            &["apply", "--server-side", "--validate=strict", "-f", "-"],
            &object.to_string(),
        )
    }

    /// The credentials of the agent on a node: a token that is bound to its pod.
    pub(super) fn agent(&self, node: &str) -> Connection {
        let pod = format!("agent-{node}");
        let arguments = ["create", "token", "a-netkeel", "-n", "agents"];
        let bound = ["--bound-object-kind", "Pod", "--bound-object-name", &pod];
        let token = self.kubectl(&[&arguments[..], &bound[..]].concat(), "").unwrap();
        Connection::Kubeconfig(self.plane.kubeconfig(&pod, token.trim()).0)
    }

    /// The table of `kubectl get netkeelnodes` without the ages.
    fn nodes(&self) -> Vec<String> {
        let table = self.kubectl(&["get", "netkeelnodes"], "").unwrap();
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[..words.len() - 1].join(" ")
        };
        table.lines().map(line).collect()
    }
}

/// The last list, and the last trouble after it.
type Reports = (Option<Vec<String>>, Option<String>);

/// The reports, which a task adds to.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Reports>>);

impl Heard {
    fn follow(connection: Connection, node: &str) -> Self {
        let heard = Heard::default();
        let (sender, mut news) = mpsc::channel(1);
        tokio::spawn(follow_policies(connection, node.to_owned(), 0.0, sender));
        let told = heard.clone();
        tokio::spawn(async move {
            while let Some(news) = news.recv().await {
                let mut told = told.0.lock().unwrap();
                match news {
                    PolicyNews::Policies { objects, node } => {
                        assert!(!node.uid.is_empty() && node.labels["role"] == "edge");
                        let policies = objects.iter().map(|text| {
                            let policy = Policy::from_json(text).unwrap();
                            let sysctl = policy.document.get("sysctl").unwrap();
                            let value = sysctl.get("net.ipv4.ip_forward").unwrap().integer().unwrap();
                            format!("{}@{}={value}", policy.name, policy.generation)
                        });
                        let mut policies: Vec<String> = policies.collect();
                        policies.sort();
                        *told = (Some(policies), None);
                    }
                    PolicyNews::Trouble(why) => told.1 = Some(why),
                }
            }
        });
        heard
    }

    async fn becomes(&self, wanted: &[&str], within: Duration) {
        let end = Instant::now() + within;
        loop {
            let heard = self.0.lock().unwrap().clone();
            if heard.0.as_ref().is_some_and(|policies| policies == wanted) {
                return;
            }
            assert!(
                Instant::now() < end,
                "{heard:?}, not {wanted:?}, after {within:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn has_trouble(&self, part: &str) {
        let end = Instant::now() + START;
        loop {
            let heard = self.0.lock().unwrap().clone();
            if heard.1.as_ref().is_some_and(|why| why.contains(part)) {
                return;
            }
            assert!(Instant::now() < end, "no trouble with {part:?}: {heard:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn forward(value: u8) -> Value {
    json!({ "document": { "version": 1, "sysctl": { "net.ipv4.ip_forward": value } } })
}

#[test]
fn the_server_refuses_a_policy_that_is_wrong_in_form() {
    let cluster = Cluster::start();
    for (spec, part) in [
        (json!({}), "spec.document"),
        (json!({ "document": { "sysctl": {} } }), "version"),
        (
            json!({ "document": { "version": 1, "owner": "x" } }),
            "the document of a policy names no owner",
        ),
        (
            json!({ "document": { "version": 1 }, "mode": "off" }),
            "spec.mode",
        ),
        (
            json!({ "document": { "version": 1 }, "rollout": { "percent": 101 } }),
            "spec.rollout.percent",
        ),
        (
            json!({ "document": { "version": 1 }, "rollout": { "maxUnavailable": 0 } }),
            "maxUnavailable is 1 to 10000 nodes, or 1% to 100%",
        ),
        (
            json!({ "document": { "version": 1 }, "rollout": { "maxUnavailable": "101%" } }),
            "maxUnavailable is 1 to 10000 nodes, or 1% to 100%",
        ),
        (
            json!({ "document": { "version": 1 }, "rollout": { "evict": true, "exclude": ["web"] } }),
            "spec.rollout.exclude[0]",
        ),
        (
            json!({ "document": { "version": 1 }, "confirm": { "probes": [{ "expect": 1500 }] } }),
            "a probe has either path_mtu or ipip",
        ),
        (
            json!({ "document": { "version": 1 }, "nodeSelector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } }),
            "In and NotIn need values",
        ),
        (
            json!({ "document": { "version": 1 }, "pause": true }),
            "spec.pause",
        ),
    ] {
        let refused = cluster.policy("a", &spec).unwrap_err();
        assert!(refused.contains(part), "{spec}: {refused}");
    }
    // The server does not check the rest of a document; netkeel does.
    let all = json!({
        "document": { "version": 1, "link": { "pods": { "match": { "name": "cali*" }, "mtu": 1440 } } },
        "nodeSelector": {
            "matchLabels": { "kubernetes.io/os": "linux" },
            "matchExpressions": [{ "key": "gpu", "operator": "DoesNotExist" }],
        },
        "mode": "observe",
        "rollout": { "percent": 10, "maxUnavailable": "25%", "evict": true, "include": ["kube-system/*"], "exclude": ["*/web-?"] },
        "confirm": { "probes": [{ "path_mtu": "192.0.2.1", "expect": 1500 }] },
        "paused": true,
        "deletionPolicy": "keep",
    });
    cluster.policy("a", &all).unwrap();
    let kept = cluster
        .kubectl(&["get", "netkeelpolicy", "a", "-o", "json"], "")
        .unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["spec"], all);
}

#[test]
fn an_agent_writes_the_state_of_its_own_node_alone() {
    let cluster = Cluster::start();
    inside(async || {
        let status = |in_sync: &str, drift: u32| {
            json!({
                "policies": [],
                "conditions": [{ "type": "InSync", "status": in_sync, "reason": "A", "message": "b" }],
                "drift": { "facts": drift, "objects": drift, "entries": [] },
                "findingCount": 2,
                "findings": [],
                "path": { "podMTU": 1440, "underlayMTU": 1500 },
            })
        };
        let uid = |node: &str| {
            cluster
                .kubectl(&["get", "node", node, "-o", "jsonpath={.metadata.uid}"], "")
                .unwrap()
        };
        let write = |of: &str, by: &str, status: Value| {
            let state = NodeState {
                node_uid: uid(of),
                status,
            };
            let (states, wanted) = watch::channel(None);
            let (sender, news) = mpsc::channel(4);
            tokio::spawn(write_node_state(
                cluster.agent(by),
                of.to_owned(),
                0.0,
                wanted,
                sender,
            ));
            states.send(Some(state)).unwrap();
            (states, news)
        };
        let (n1, mut trouble) = write("n1", "n1", status("True", 0));
        let (_n2, _) = write("n2", "n2", status("False", 3));
        let end = Instant::now() + START;
        let expected = [
            "NAME IN-SYNC DRIFT POD-MTU UNDERLAY FINDINGS",
            "n1 True 0 1440 1500 2",
            "n2 False 3 1440 1500 2",
        ];
        while cluster.nodes() != expected {
            assert!(Instant::now() < end, "{:?}", cluster.nodes());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(
            trouble.try_recv().is_err(),
            "the guard holds, and nothing was dropped"
        );
        let object = |node: &str| -> Value {
            let text = cluster
                .kubectl(&["get", "netkeelnode", node, "-o", "json"], "")
                .unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let first = object("n1");
        assert_eq!(first["metadata"]["ownerReferences"][0]["uid"], uid("n1"));
        // The same state is not written again, and a condition that holds keeps its time.
        let same = NodeState {
            node_uid: uid("n1"),
            status: status("True", 0),
        };
        n1.send(Some(same)).unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(
            object("n1")["metadata"]["resourceVersion"],
            first["metadata"]["resourceVersion"]
        );
        let other = NodeState {
            node_uid: uid("n1"),
            status: status("True", 1),
        };
        n1.send(Some(other)).unwrap();
        let end = Instant::now() + START;
        while object("n1")["status"]["drift"]["facts"] != 1 {
            assert!(Instant::now() < end, "{}", object("n1"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(
            object("n1")["status"]["conditions"][0]["lastTransitionTime"],
            first["status"]["conditions"][0]["lastTransitionTime"]
        );
        // The agent of n1 does not write n2.
        let (_state, mut trouble) = write("n2", "n1", status("True", 9));
        let why = tokio::time::timeout(START, trouble.recv())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(
            why.contains("the agent of n1 writes no other node's state"),
            "{why}"
        );
        assert_eq!(object("n2")["status"]["drift"]["facts"], 3);

        // Without the guard it could, and says so at its start. A field that the definition lacks is named.
        for binding in [
            "agents-a-netkeel",
            "agents-a-netkeel-leases",
            "agents-a-netkeel-events",
        ] {
            let admission = ["delete", "validatingadmissionpolicybinding", binding];
            cluster.kubectl(&admission, "").unwrap();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut newer = status("True", 0);
        newer["future"] = json!(1);
        let (_state, mut trouble) = write("n1", "n1", newer);
        let why = tokio::time::timeout(START, trouble.recv())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(
            why.contains("lets this agent write the state, Leases and events of other nodes"),
            "{why}"
        );
        assert!(why.contains("has no future"), "{why}");
    });
}

#[test]
fn the_policies_outlive_the_api_server_and_go_back_with_its_data() {
    let mut cluster = Cluster::start();
    inside(async || {
        let heard = Heard::follow(cluster.agent("n1"), "n1");
        heard.becomes(&[], START).await;
        cluster.policy("a", &forward(0)).unwrap();
        heard.becomes(&["a@1=0"], PROMPT).await;
        cluster.plane.stop_apiserver();
        heard.has_trouble("").await;
        heard.becomes(&["a@1=0"], PROMPT).await;
        // The data of now are those to which the server goes back.
        cluster.plane.save_etcd();
        cluster.plane.start_apiserver();
        cluster.policy("a", &forward(1)).unwrap();
        cluster.policy("b", &forward(1)).unwrap();
        heard.becomes(&["a@2=1", "b@1=1"], START).await;
        cluster.plane.stop_apiserver();
        cluster.plane.restore_etcd();
        cluster.plane.start_apiserver();
        heard.becomes(&["a@1=0"], START).await;
        cluster.kubectl(&["delete", "netkeelpolicy", "a"], "").unwrap();
        heard.becomes(&[], MISSED).await;
        cluster.policy("c", &forward(1)).unwrap();
        heard.becomes(&["c@1=1"], PROMPT).await;
        let nobody = Heard::follow(cluster.agent("n1"), "n9");
        nobody.has_trouble("the cluster has no node n9").await;
        assert_eq!(nobody.0.lock().unwrap().0, None);
        let role = ["delete", "clusterrolebinding", "agents-a-netkeel"];
        cluster.kubectl(&role, "").unwrap();
        let refused = Heard::follow(cluster.agent("n1"), "n1");
        refused
            .has_trouble("the token may not list netkeelpolicies in the cluster (403)")
            .await;
        assert_eq!(refused.0.lock().unwrap().0, None);
    });
}

#[test]
fn a_kind_that_is_removed_takes_no_policy_along() {
    let cluster = Cluster::start();
    inside(async || {
        for name in ["a", "b"] {
            cluster.policy(name, &forward(1)).unwrap();
        }
        let both = ["a@1=1", "b@1=1"];
        let heard = Heard::follow(cluster.agent("n1"), "n1");
        heard.becomes(&both, START).await;
        let kind = ["delete", "--wait=false", "crd", "netkeelpolicies.netkeel.io"];
        cluster.kubectl(&kind, "").unwrap();
        heard.has_trouble("the kind NetkeelPolicy").await;
        // The server ends the removal within seconds.
        heard.has_trouble("does not have the kind NetkeelPolicy").await;
        heard.becomes(&both, Duration::ZERO).await;
    });
}

#[test]
fn the_kind_is_missing_where_the_chart_installs_no_policies() {
    let plane = ControlPlane::start();
    inside(async || {
        let (admin, _) = plane.kubeconfig("admin", ADMIN);
        let heard = Heard::follow(Connection::Kubeconfig(Path::new(&admin).to_owned()), "n1");
        heard
            .has_trouble("the cluster does not have the kind NetkeelPolicy")
            .await;
        assert_eq!(heard.0.lock().unwrap().0, None);
    });
}
