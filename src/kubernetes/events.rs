//! Events on the Node, which `kubectl describe node` shows.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::connection::{Connection, KeptClient};
use crate::pause::{PAUSE, wait_after};
use crate::trouble::{Failed, of_client};

/// The longest message that the server takes, bytes.
const LONGEST: usize = 1024;

/// How often an event is tried to be written to an overloaded server. More events wait meanwhile.
const TRIES: usize = 5;

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
/// reason. `spread` is from 0 to 1: it spreads the requests of many agents over time.
pub async fn write_events(
    connection: Connection,
    node: String,
    spread: f64,
    mut events: Receiver<NodeEvent>,
    trouble: Sender<String>,
) {
    let mut client = KeptClient::new(connection);
    while let Some(event) = events.recv().await {
        let event = object(&node, event);
        let (mut pause, mut tries) = (PAUSE, 1);
        while let Err(why) = write(&mut client, &event).await {
            client.failed(&why);
            if why.is_throttled && tries < TRIES {
                wait_after(&why, &mut pause, spread).await;
                tries += 1;
                continue;
            }
            // Without a receiver nobody wants to know.
            let _ = trouble.send(why.text).await;
            break;
        }
    }
}

async fn write(client: &mut KeptClient, event: &Event) -> Result<(), Failed> {
    let api: Api<Event> = Api::namespaced(client.get().await?, NAMESPACE);
    let failed = |error: kube::Error| of_client(&error, "create", "events in the namespace default");
    let written = api.create(&PostParams::default(), event).await;
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
