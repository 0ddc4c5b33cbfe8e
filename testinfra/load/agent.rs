//! Agents as the API server sees them: the real clients of netkeel, without hosts. Each follows the policies, its Node and the
//! peers, renews its Lease and writes its state, and says that every policy is in force.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use netkeel_core::cluster_policies::PolicyNews;
use netkeel_core::replication::cluster_peers::{ClusterPeers, PeerFamily, PeerNews, PeerObjects};
use netkeel_document::policy::Policy;
use netkeel_document::policy::wish::{SlotNews, Wishes};
use netkeel_kubernetes::connection::Connection;
use netkeel_kubernetes::events::write_events;
use netkeel_kubernetes::follow::follow;
use netkeel_kubernetes::node_state::{NodeState, write_node_state};
use netkeel_kubernetes::policies::follow_policies;
use netkeel_kubernetes::slots::{Pace, hold_slots};

/// What the agents of a process say together.
#[derive(Default)]
struct Seen {
    /// Agents whose policies were listed.
    policies: AtomicUsize,
    /// The number of peers of each agent.
    peers: Vec<AtomicUsize>,
    troubles: AtomicUsize,
}

/// The name of the node with a number.
pub fn node(number: usize) -> String {
    format!("node-{number}")
}

/// The configuration of an agent.
pub fn configuration(place: &Path, number: usize) -> PathBuf {
    place.join(format!("{}.kubeconfig", node(number)))
}

/// Where a share of the agents says what it has: the agents with policies, the fewest and the most peers of an agent, the
/// troubles, and the resident memory, KiB.
pub fn progress(place: &Path, from: usize) -> PathBuf {
    place.join(format!("share-{from}"))
}

/// The file on whose appearance all agents start.
pub fn signal(place: &Path) -> PathBuf {
    place.join("go")
}

/// Runs the agents of a share, until the process is killed.
pub fn run(from: usize, to: usize, place: &Path) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async {
        let seen = Arc::new(Seen {
            peers: (from..to).map(|_| AtomicUsize::new(0)).collect(),
            ..Seen::default()
        });
        while !signal(place).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for number in from..to {
            let connection = Connection::Kubeconfig(configuration(place, number));
            tokio::spawn(agent(number, number - from, connection, seen.clone()));
        }
        loop {
            let peers = seen.peers.iter().map(|peers| peers.load(SeqCst));
            let line = format!(
                "{} {} {} {} {}",
                seen.policies.load(SeqCst),
                peers.clone().min().unwrap_or_default(),
                peers.max().unwrap_or_default(),
                seen.troubles.load(SeqCst),
                resident()
            );
            let path = progress(place, from);
            fs::write(path.with_extension("new"), line).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
}

/// The resident memory of this process, KiB.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn agent(number: usize, place: usize, connection: Connection, seen: Arc<Seen>) {
    let node = node(number);
    let spread = spread(&node);
    let (policy_news, mut policies) = mpsc::channel(1);
    let (peer_news, mut peers) = mpsc::channel(1);
    let (wishes, wished) = watch::channel(None);
    let (state, states) = watch::channel(None);
    let (slot_news, mut slots) = mpsc::channel::<SlotNews>(1);
    let (state_trouble, mut state_troubles) = mpsc::channel::<Option<String>>(1);
    let (_events, no_events) = mpsc::channel(1);
    let (lost, _losses) = mpsc::channel(1);
    let decides = async {
        let mut is_listed = false;
        while let Some(news) = policies.recv().await {
            match news {
                PolicyNews::Policies { objects, node } => {
                    let node_uid = node.uid;
                    if !std::mem::replace(&mut is_listed, true) {
                        seen.policies.fetch_add(1, SeqCst);
                    }
                    let status = status(&objects);
                    state.send_replace(Some(NodeState {
                        node_uid: node_uid.clone(),
                        status,
                    }));
                    // Each document is in force: no slot is wanted.
                    wishes.send_replace(Some(Wishes {
                        node_uid,
                        slots: Default::default(),
                    }));
                }
                PolicyNews::Trouble(why) => trouble(&seen, &why),
            }
        }
    };
    let counts_peers = async {
        while let Some(news) = peers.recv().await {
            match news {
                PeerNews::Peers { addresses, .. } => seen.peers[place].store(addresses.len(), SeqCst),
                PeerNews::Trouble(why) => trouble(&seen, &why),
            }
        }
    };
    let hears_of_slots = async {
        while let Some(news) = slots.recv().await {
            news.trouble.iter().for_each(|why| trouble(&seen, why));
        }
    };
    let hears_of_state = async {
        while let Some(news) = state_troubles.recv().await {
            news.iter().for_each(|why| trouble(&seen, why));
        }
    };
    tokio::join!(
        follow_policies(connection.clone(), node.clone(), spread, policy_news),
        follow(connection.clone(), wanted(), spread, peer_news),
        hold_slots(
            connection.clone(),
            node.clone(),
            Pace::default(),
            spread,
            wished,
            slot_news
        ),
        write_node_state(connection.clone(), node.clone(), spread, states, state_trouble),
        write_events(connection, node, spread, no_events, lost),
        decides,
        counts_peers,
        hears_of_slots,
        hears_of_state,
    );
}

#[allow(clippy::print_stderr, reason = "the report of a long test")]
fn trouble(seen: &Seen, why: &str) {
    // The first ones tell enough.
    if seen.troubles.fetch_add(1, SeqCst) < 5 {
        eprintln!("an agent: {why}");
    }
}

/// The peers of the chart's default: the agents' own Service.
fn wanted() -> ClusterPeers {
    ClusterPeers {
        objects: PeerObjects::Endpoints {
            namespace: "agents".to_owned(),
            service: "a-netkeel".to_owned(),
        },
        families: PeerFamily::all(),
    }
}

/// The state of a node with all policies in force.
fn status(objects: &[String]) -> Value {
    let policies = objects.iter().map(|text| Policy::from_json(text).unwrap());
    let policies: Vec<Value> = policies
        .map(|policy| {
            json!({
                "name": policy.name, "generation": policy.generation, "documentHash": policy.hash, "mode": "enforce",
            })
        })
        .collect();
    let condition = |kind: &str, status: &str, reason: &str| json!({ "type": kind, "status": status, "reason": reason, "message": "everything is as declared" });
    json!({
        "policies": policies,
        "conditions": [
            condition("InSync", "True", "InSync"),
            condition("Applied", "True", "InForce"),
            condition("Degraded", "False", "Healthy"),
            condition("Paused", "False", "NotPaused"),
        ],
        "drift": { "facts": 0, "objects": 0, "entries": [] },
        "findingCount": 0,
        "findings": [],
        "path": { "podMTU": 1440, "underlayMTU": 1500 },
    })
}

/// As the service spreads the requests of its agents, by the name of the host: FNV-1a, 32 bits.
fn spread(name: &str) -> f64 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    f64::from(hash) / f64::from(u32::MAX)
}

/// The address of a node.
pub fn address(number: usize) -> IpAddr {
    let number = u32::try_from(number).unwrap() + 1;
    IpAddr::from((0x0a00_0000 + number).to_be_bytes())
}
