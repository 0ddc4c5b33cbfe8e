//! Events on the Node, which `kubectl describe node` shows.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::connection::{Connection, client};
use crate::trouble::of_client;

/// The longest message that the server takes, bytes.
const LONGEST: usize = 1024;

/// The namespace of events on objects that have none.
pub(crate) const NAMESPACE: &str = "default";

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// The UID of the Node.
    pub node_uid: String,
    /// One word.
    pub reason: &'static str,
    /// It needs somebody.
    pub is_warning: bool,
    /// One line.
    pub message: String,
}

/// Writes events, until the caller drops the future or their sender. One that cannot be written is lost: `trouble` gets the
/// reason.
pub async fn write_events(
    connection: Connection,
    node: String,
    mut events: Receiver<NodeEvent>,
    trouble: Sender<String>,
) {
    while let Some(event) = events.recv().await {
        if let Err(why) = write(&connection, &node, event).await {
            // Without a receiver nobody wants to know.
            let _ = trouble.send(why).await;
        }
    }
}

async fn write(connection: &Connection, node: &str, event: NodeEvent) -> Result<(), String> {
    let api: Api<Event> = Api::namespaced(client(connection).await?, NAMESPACE);
    let failed = |error: kube::Error| of_client(&error, "create", "events in the namespace default");
    let written = api.create(&PostParams::default(), &object(node, event)).await;
    written.map(drop).map_err(failed)
}

pub(crate) fn object(node: &str, event: NodeEvent) -> Event {
    let now = Timestamp::now();
    let mut message = event.message.lines().next().unwrap_or_default().to_owned();
    while message.len() > LONGEST {
        message.pop();
    }
    Event {
        metadata: ObjectMeta {
            // As of the kubelet: the name of the object, and a number that no other event of it has.
            name: Some(format!("{node}.{:x}", now.as_nanosecond())),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            uid: Some(event.node_uid),
            ..ObjectReference::default()
        },
        reason: Some(event.reason.to_owned()),
        message: Some(message),
        type_: Some(if event.is_warning { "Warning" } else { "Normal" }.to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        source: Some(EventSource {
            component: Some("netkeel".to_owned()),
            host: Some(node.to_owned()),
        }),
        reporting_component: Some("netkeel.io/agent".to_owned()),
        reporting_instance: Some(node.to_owned()),
        ..Event::default()
    }
}
