//! Writes the object `NetkeelNode` of the node on which the agent runs.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::{Timestamp, Unit};
use kube::api::PostParams;
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::Receiver;
use tokio::time::sleep;

use crate::connection::{Connection, KeptClient};
use crate::events::{self, NodeEvent};
use crate::lease::of_agent;
use crate::pause::{PAUSE, wait_after};
use crate::policies::{GROUP, VERSION, resource};
use crate::trouble::{Failed, of_client};
use crate::written::{dropped, with_times};

/// Changes within so long are written together.
const TOGETHER: Duration = Duration::from_secs(1);

/// The name under which the agents write.
const MANAGER: &str = "netkeel";

/// The state of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    /// The UID of the Node, which owns the object.
    pub node_uid: String,
    /// The `status`, without the times of transitions.
    pub status: Value,
}

/// Writes each state that differs from the last one, until the caller drops the future or the sender of the states.
/// `spread` is from 0 to 1: it spreads the writes of many agents over time.
///
/// Reports the reason when a state cannot be written or the server dropped a part of it, and `None` when that has ended.
pub async fn write_node_state(
    connection: Connection,
    node: String,
    spread: f64,
    mut wanted: Receiver<Option<NodeState>>,
    news: Sender<Option<String>>,
) {
    let spread = spread.clamp(0.0, 1.0);
    let mut client = KeptClient::new(connection);
    let mut written = Written::default();
    let mut reported = None;
    let mut pause = PAUSE;
    while wanted.changed().await.is_ok() {
        sleep(TOGETHER.mul_f64(1.0 + spread)).await;
        loop {
            let state = wanted.borrow_and_update().clone();
            let Some(state) = state.filter(|state| written.state.as_ref() != Some(state)) else {
                break;
            };
            let result = match client.get().await {
                Ok(client) => write(&client, &node, state, &mut written).await,
                Err(why) => Err(why),
            };
            let failed = result.as_ref().err().cloned();
            let trouble = result.unwrap_or_else(|why| Some(why.text));
            if reported != trouble {
                reported.clone_from(&trouble);
                if news.send(trouble).await.is_err() {
                    return;
                }
            }
            let Some(why) = failed else {
                pause = PAUSE;
                break;
            };
            client.failed(&why);
            wait_after(&why, &mut pause, spread).await;
        }
    }
}

/// The state on the server.
#[derive(Default)]
struct Written {
    /// The state that was written last.
    state: Option<NodeState>,
    /// The version of the object; `None` if there is no object.
    version: Option<String>,
    /// The status in the object, with its times.
    status: Option<Value>,
    /// Whether the object was read since the start: an agent that restarts goes on with its times.
    read: bool,
    /// Whether the server guards the states of other nodes; and the fault, if it does not.
    guarded: bool,
    unguarded: Option<String>,
}

fn by() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// The object of a node; `metadata` without its name.
fn object(node: &str, mut metadata: Value, status: &Value) -> Result<DynamicObject, String> {
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("name".to_owned(), json!(node));
        metadata.retain(|_, value| !value.is_null());
    }
    let mut object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "NetkeelNode",
        "metadata": metadata,
    });
    if let (Some(fields), false) = (object.as_object_mut(), status.is_null()) {
        fields.insert("status".to_owned(), status.clone());
    }
    serde_json::from_value(object).map_err(|error| error.to_string())
}

/// No node has this name: the server is asked whether it would let this agent write its state.
const OTHER_NODE: &str = "netkeel-guard-check";

/// Why an agent may write the state of another node; `None` if the server refuses it.
///
/// # Errors
/// When the server gives no answer to that.
async fn unguarded(client: &Client, api: &Api<DynamicObject>) -> Result<Option<String>, String> {
    let other = object(OTHER_NODE, json!({}), &Value::Null)?;
    let by = PostParams {
        dry_run: true,
        ..by()
    };
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    let mut lease = of_agent(OTHER_NODE, "", None, TOGETHER);
    // The server refuses an owner without a UID before it asks its guard.
    lease.metadata.owner_references = None;
    let events: Api<Event> = Api::namespaced(client.clone(), events::NAMESPACE);
    let event = NodeEvent {
        node_uid: String::new(),
        reason: "GuardCheck",
        is_warning: false,
        message: "this event is not written".to_owned(),
    };
    let event = events::object(OTHER_NODE, event);
    let mut open = Vec::new();
    for (what, answer) in [
        ("the state", api.create(&by, &other).await.map(drop)),
        ("Leases", leases.create(&by, &lease).await.map(drop)),
        ("events", events.create(&by, &event).await.map(drop)),
    ] {
        match answer {
            Ok(()) => open.push(what),
            Err(kube::Error::Api(status)) if is_refusal(status.code, &status.message) => {}
            Err(error) => return Err(of_client(&error, "create", "netkeelnodes, leases and events").into()),
        }
    }
    Ok((!open.is_empty()).then(|| {
        format!(
            "the API server lets this agent write {} of other nodes: the ValidatingAdmissionPolicy of the chart is missing, or \
             it is for another service account",
            some_of(&open)
        )
    }))
}

/// Whether an answer is that of a guard: of a ValidatingAdmissionPolicy, or of the rights of the token. An object that is
/// invalid in itself has the code of the former.
fn is_refusal(code: u16, message: &str) -> bool {
    code == 403 || (code == 422 && message.contains("ValidatingAdmissionPolicy"))
}

/// `a`, `a and b`, `a, b and c`.
fn some_of(words: &[&str]) -> String {
    match words {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        words => words.concat(),
    }
}

/// Writes a state. Returns a fault that did not prevent it.
async fn write(
    client: &Client,
    node: &str,
    state: NodeState,
    written: &mut Written,
) -> Result<Option<String>, Failed> {
    let what = format!("the netkeelnode {node}");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource("NetkeelNode"));
    if !written.read {
        let found = api.get_opt(node).await;
        let found = found.map_err(|error| of_client(&error, "get", &what))?;
        written.version = found
            .as_ref()
            .and_then(|object| object.metadata.resource_version.clone());
        written.status = found.and_then(|object| object.data.get("status").cloned());
        written.read = true;
    }
    if !written.guarded {
        // The server needs a moment to learn of its guard: it is asked again with the next state, and so is one that
        // gave another answer.
        match unguarded(client, &api).await {
            Ok(unguarded) => {
                written.guarded = unguarded.is_none();
                written.unguarded = unguarded;
            }
            Err(_) => written.unguarded = None,
        }
    }
    let now = Timestamp::now()
        .round(Unit::Second)
        .unwrap_or_default()
        .to_string();
    let status = with_times(state.status.clone(), written.status.as_ref(), &now);
    let metadata = json!({
        "resourceVersion": written.version,
        "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": node, "uid": state.node_uid }],
    });
    let wanted = object(node, metadata, &status)?;
    // An older definition of the kind drops fields that it does not know. It refuses them in server-side apply.
    let answer = match written.version {
        Some(_) => api.replace(node, &by(), &wanted).await,
        None => api.create(&by(), &wanted).await,
    };
    let answer = answer.map_err(|error| {
        let why = of_client(&error, "write", &what);
        // Somebody deleted the object, or wrote it. What the server refuses for now has changed nothing.
        written.read = why.is_throttled;
        why
    })?;
    let kept = answer.data.get("status").unwrap_or(&Value::Null);
    let lost = dropped(&status, kept);
    written.state = Some(state);
    written.version = answer.metadata.resource_version;
    written.status = Some(status);
    let definition = (!lost.is_empty()).then(|| {
        format!(
            "the cluster's definition of NetkeelNode is older than the agent, and has no {}: kubectl apply -f kubernetes/chart/files/crds",
            lost.join(", ")
        )
    });
    let faults: Vec<String> = written.unguarded.clone().into_iter().chain(definition).collect();
    Ok((!faults.is_empty()).then(|| faults.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trouble::server::{Answer, Server, refused};

    #[test]
    fn only_the_answer_of_a_guard_is_one() {
        let policy = "leases.coordination.k8s.io \"netkeel-guard-check\" is forbidden: ValidatingAdmissionPolicy \
                      'a-netkeel-leases' with binding 'a-netkeel-leases' denied request: no";
        let uid = "Lease.coordination.k8s.io \"netkeel-guard-check\" is invalid: metadata.ownerReferences.uid: Invalid \
                   value: \"\": must not be empty";
        for (code, message, refuses) in [
            (403, "leases is forbidden: User cannot create", true),
            (422, policy, true),
            (422, uid, false),
            (409, policy, false),
            (500, policy, false),
        ] {
            assert_eq!(is_refusal(code, message), refuses, "{code} {message}");
        }
    }

    #[test]
    fn words_are_joined() {
        assert_eq!(some_of(&["a"]), "a");
        assert_eq!(some_of(&["a", "b"]), "a and b");
        assert_eq!(some_of(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn what_was_read_of_the_object_is_kept_after_a_refusal() {
        let mut writes = 0;
        let server = Server::start(move |request| match request {
            "get n1" => Answer::Is(
                404,
                json!({ "kind": "Status", "code": 404, "reason": "NotFound", "message": "no" }),
            ),
            "post netkeelnodes" => {
                writes += 1;
                match writes {
                    1 => refused(),
                    _ => Answer::Is(
                        201,
                        json!({ "metadata": { "name": "n1", "resourceVersion": "7" }, "status": {} }),
                    ),
                }
            }
            _ => Answer::Is(
                403,
                json!({ "kind": "Status", "code": 403, "message": "guarded" }),
            ),
        });
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let state = NodeState {
                node_uid: "u1".to_owned(),
                status: json!({}),
            };
            let (states, wanted) = tokio::sync::watch::channel(None);
            let (news, mut troubles) = tokio::sync::mpsc::channel(1);
            let connection = Connection::Kubeconfig(server.kubeconfig());
            tokio::spawn(write_node_state(connection, "n1".to_owned(), 0.0, wanted, news));
            states.send(Some(state)).unwrap();
            let why = troubles.recv().await.unwrap();
            assert_eq!(why.as_deref(), Some("the API server is overloaded (429)"));
            assert_eq!(troubles.recv().await, Some(None));
            let asked = server.asked();
            assert_eq!((&*asked[0], asked.len()), ("get n1", 6), "{asked:?}");
            assert_eq!(asked[4..], ["post netkeelnodes"; 2]);
        });
    }
}
