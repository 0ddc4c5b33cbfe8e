//! Slots against a real API server: the server gives each to one node, guards it by the token, and each reason for which
//! a slot is free or not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::inside;
use super::policies::Cluster;
use netkeel_document::policy::Policy;
use netkeel_document::policy::slots::Phase;
use netkeel_document::policy::wish::{SlotState, Wish, Wishes};
use netkeel_kubernetes::slots::{Pace, hold_slots};

const PACE: Pace = Pace {
    renew: Duration::from_secs(1),
    expires: Duration::from_secs(4),
    look: Duration::from_millis(500),
};

/// The longest time to connect, and for a slot to expire.
const LONG: Duration = Duration::from_secs(30);

/// An agent that wants a slot of the policy `a`.
struct Agent {
    wishes: watch::Sender<Option<Wishes>>,
    state: Arc<Mutex<(Option<SlotState>, Option<String>)>>,
    task: JoinHandle<()>,
    node_uid: String,
    policy: Policy,
}

impl Agent {
    fn start(cluster: &Cluster, node: &str) -> Self {
        let get = |what: &[&str]| {
            cluster
                .kubectl(&[&["get", "-o", "json"], what].concat(), "")
                .unwrap()
        };
        let object: Value = serde_json::from_str(&get(&["node", node])).unwrap();
        let policy = Policy::from_json(&get(&["netkeelpolicy", "a"])).unwrap();
        let (wishes, wanted) = watch::channel(None);
        let (news, mut told) = mpsc::channel(1);
        let (connection, node) = (cluster.agent(node), node.to_owned());
        let held = hold_slots(connection, node, PACE, 0.0, wanted, news);
        let state = Arc::new(Mutex::new((None, None)));
        let (into, uid) = (state.clone(), policy.uid.clone());
        let task = tokio::spawn(async move {
            let heard = async {
                while let Some(news) = told.recv().await {
                    *into.lock().unwrap() = (news.states.get(&uid).cloned(), news.trouble);
                }
            };
            tokio::join!(held, heard);
        });
        let node_uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        Agent {
            wishes,
            state,
            task,
            node_uid,
            policy,
        }
    }

    fn wants(&self, phase: Option<Phase>) {
        let wish = |phase| Wish {
            policy: self.policy.name.clone(),
            document: self.policy.hash.clone(),
            generation: self.policy.generation,
            max: self.policy.max_unavailable,
            selector: self.policy.selector.clone(),
            phase,
            why: (phase == Phase::Failed).then(|| "no".to_owned()),
        };
        let slots = phase.map(|phase| (self.policy.uid.clone(), wish(phase)));
        self.wishes.send_replace(Some(Wishes {
            node_uid: self.node_uid.clone(),
            slots: slots.into_iter().collect::<BTreeMap<_, _>>(),
        }));
    }

    /// Waits until the agent holds a slot in a phase, or waits for one for a reason with this part.
    async fn becomes(&self, phase: Option<Phase>, part: &str) {
        let end = Instant::now() + LONG;
        loop {
            let (state, trouble) = self.state.lock().unwrap().clone();
            let fits = match &state {
                Some(SlotState::Held { phase: found, .. }) => phase == Some(*found),
                Some(SlotState::Waiting(why)) => phase.is_none() && why.contains(part),
                None => false,
            };
            if fits {
                return;
            }
            assert!(
                Instant::now() < end,
                "{state:?}, not {phase:?} {part}: {trouble:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[test]
fn the_server_gives_a_slot_to_one_node_until_it_is_given_back_expires_or_its_node_is_gone() {
    let cluster = Cluster::start();
    let document = json!({ "version": 1, "sysctl": { "net.ipv4.ip_forward": 1 } });
    cluster
        .policy(
            "a",
            &json!({ "document": document, "rollout": { "maxUnavailable": 1 } }),
        )
        .unwrap();
    inside(async || {
        let (one, two) = (Agent::start(&cluster, "n1"), Agent::start(&cluster, "n2"));
        one.wants(Some(Phase::Taken));
        one.becomes(Some(Phase::Taken), "").await;
        two.wants(Some(Phase::Taken));
        two.becomes(None, "other nodes change; at most 1 may").await;
        one.wants(Some(Phase::Failed));
        one.becomes(Some(Phase::Failed), "").await;
        two.becomes(None, "the change failed on 1").await;
        one.wants(None);
        two.becomes(Some(Phase::Taken), "").await;

        // Somebody frees the slot of a node whose change failed. It takes no other one.
        two.wants(Some(Phase::Failed));
        two.becomes(Some(Phase::Failed), "").await;
        let slots = ["-n", "agents", "-l", "netkeel.io/lease=slot"];
        cluster
            .kubectl(&[&["delete", "leases"], &slots[..]].concat(), "")
            .unwrap();
        two.becomes(None, "its slot was freed").await;
        one.wants(Some(Phase::Taken));
        one.becomes(Some(Phase::Taken), "").await;
        one.wants(None);
        two.wants(Some(Phase::Taken));
        two.becomes(Some(Phase::Taken), "").await;

        // The agent is killed before it began: its slot expires.
        two.task.abort();
        one.wants(Some(Phase::Taken));
        one.becomes(Some(Phase::Taken), "").await;
        one.wants(Some(Phase::Begun));
        one.becomes(Some(Phase::Begun), "").await;
        one.task.abort();
        // It began, and does not report: it counts also after its slot has expired.
        let two = Agent::start(&cluster, "n2");
        two.wants(Some(Phase::Taken));
        two.becomes(None, "no report from 1").await;
        tokio::time::sleep(PACE.expires).await;
        two.becomes(None, "no report from 1").await;
        // Without its Node it does not.
        let at = Instant::now();
        cluster.kubectl(&["delete", "node", "n1"], "").unwrap();
        two.becomes(Some(Phase::Taken), "").await;
        assert!(at.elapsed() < PACE.expires, "{:?}", at.elapsed());
    });
}

#[test]
fn an_agent_writes_no_lease_and_no_event_for_another_node() {
    let cluster = Cluster::start();
    cluster
        .policy(
            "a",
            &json!({ "document": { "version": 1 }, "rollout": { "maxUnavailable": 1 } }),
        )
        .unwrap();
    inside(async || {
        let agent = Agent::start(&cluster, "n1");
        agent.wants(Some(Phase::Taken));
        agent.becomes(Some(Phase::Taken), "").await;
        agent.task.abort();
    });
    let lease = |name: &str, kind: &str, holder: Option<&str>| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": name, "namespace": "agents", "labels": { "netkeel.io/lease": kind } },
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": 60 },
        })
    };
    // A slot, with the number of its name or another one.
    let slot_of = |name: &str, number: &str, holder: Option<&str>| {
        let mut lease = lease(name, "slot", holder);
        lease["metadata"]["labels"]["netkeel.io/policy-uid"] = json!("mine");
        lease["metadata"]["annotations"] = json!({ "netkeel.io/slot": number });
        lease
    };
    let event = |node: &str| {
        json!({
            "apiVersion": "v1", "kind": "Event", "reason": "Test", "message": "test", "type": "Normal",
            "metadata": { "name": format!("{node}.test"), "namespace": "default" },
            "involvedObject": { "kind": "Node", "name": node },
        })
    };
    let text = cluster.kubectl(
        &[
            "get",
            "leases",
            "-n",
            "agents",
            "-l",
            "netkeel.io/lease=slot",
            "-o",
            "json",
        ],
        "",
    );
    let slots: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let slot = slots["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let foreign = lease("other-leader", "", Some("x")).to_string();
    cluster.kubectl(&["create", "-f", "-"], &foreign).unwrap();
    for (by, verb, object, refused) in [
        (
            "n2",
            "create",
            lease("n1-too", "agent", Some("n1")),
            "for another node",
        ),
        (
            "n2",
            "create",
            lease("n1-too", "agent", Some("n2")),
            "no Lease of another agent",
        ),
        (
            "n2",
            "create",
            lease("mine", "slot", Some("n1")),
            "for another node",
        ),
        (
            "n2",
            "create",
            lease("mine", "leader", Some("n2")),
            "no Lease but those of netkeel",
        ),
        // The slot of n1 is taken when it has expired, which the server cannot know, and never given back by n2.
        ("n2", "replace", lease(&slot, "slot", None), "for another node"),
        (
            "n2",
            "replace",
            lease("other-leader", "slot", Some("n2")),
            "no Lease but those of netkeel",
        ),
        ("n2", "create", event("n1"), "events on its own Node"),
        ("n2", "create", event("n2"), ""),
        // The name of the Lease of an agent that is not there yet, and that of a leader election.
        (
            "n2",
            "create",
            lease("n1", "slot", Some("n2")),
            "the name of its policy and its number",
        ),
        (
            "n2",
            "create",
            slot_of("n1", "0", Some("n2")),
            "the name of its policy and its number",
        ),
        (
            "n2",
            "create",
            slot_of("netkeel-mine-0", "1", Some("n2")),
            "the name of its policy and its number",
        ),
        ("n2", "create", slot_of("netkeel-mine-0", "0", Some("n2")), ""),
        ("n2", "replace", slot_of("netkeel-mine-0", "0", None), ""),
    ] {
        let done = cluster.kubectl_as(by, &[verb, "-f", "-"], &object.to_string());
        match (refused, done) {
            ("", done) => drop(done.unwrap_or_else(|why| panic!("{object}: {why}"))),
            (refused, done) => {
                let why = done.expect_err(refused);
                assert!(why.contains(refused), "{object}: {why}");
            }
        }
    }
    let deleted = cluster.kubectl_as("n2", &["delete", "lease", "-n", "agents", &slot], "");
    assert!(deleted.unwrap_err().contains("forbidden"));
}
