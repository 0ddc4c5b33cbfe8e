//! Follows the policies of the cluster, and the Node on which the agent runs.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, WatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ListMeta, PartialObjectMeta, WatchEvent};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use crate::connection::{Connection, KeptClient};
use crate::pause::{PAUSE, wait, wait_after};
use crate::trouble::{Failed, of_client, of_status};
use netkeel_core::cluster_policies::{ClusterNode, PolicyNews};

/// The group of the kinds.
pub(crate) const GROUP: &str = "netkeel.io";

/// The version of the kinds.
pub(crate) const VERSION: &str = "v1alpha1";

/// The longest watch, seconds, for a spread of 0. After each one both lists are read again.
const WATCH: u32 = 240;

/// The time from a deletion to the list that decides: the server deletes the objects of a kind before the kind itself.
const SETTLED: Duration = Duration::from_secs(3);

/// The policies in an error.
pub(crate) const POLICIES: &str = "netkeelpolicies in the cluster";

/// Follows the policies until the caller drops the future or the receiver of the news, and reports each complete list
/// that differs from the last one. `spread` is from 0 to 1: it spreads the requests of many agents over time.
///
/// Each watch begins with a complete list, also after a connection that broke: when the server's data went back to an
/// older state, it answers the old watch with silence. A policy that is missing is missed in two lists.
pub async fn follow_policies(connection: Connection, node: String, spread: f64, news: Sender<PolicyNews>) {
    let spread = spread.clamp(0.0, 1.0);
    let mut follower = Follower {
        node,
        spread,
        reported: None,
        listed: BTreeMap::new(),
        news,
    };
    let mut client = KeptClient::new(connection);
    let mut pause = PAUSE;
    while !follower.news.is_closed() {
        let begun = Instant::now();
        let done = match client.get().await {
            Ok(client) => follower.round(&client).await,
            Err(why) => Err(why),
        };
        match done {
            // A server that ends each watch at once is asked no more often than one that refuses.
            Ok(()) if begun.elapsed() > PAUSE => {
                pause = PAUSE;
                sleep(PAUSE.mul_f64(spread)).await;
            }
            Ok(()) => wait(&mut pause, spread).await,
            Err(why) => {
                if begun.elapsed() > Duration::from_secs(60) {
                    pause = PAUSE;
                }
                client.failed(&why);
                follower.tell(PolicyNews::Trouble(why.text.clone())).await;
                wait_after(&why, &mut pause, spread).await;
            }
        }
    }
}

struct Follower {
    node: String,
    spread: f64,
    reported: Option<PolicyNews>,
    /// The policies that were reported last, by UID.
    listed: BTreeMap<String, String>,
    news: Sender<PolicyNews>,
}

impl Follower {
    /// Lists the policies and the Node, and follows both until a watch ends or a policy is deleted.
    async fn round(&mut self, client: &Client) -> Result<(), Failed> {
        let policies: Api<DynamicObject> = Api::all_with(client.clone(), &resource("NetkeelPolicy"));
        let nodes: Api<Node> = Api::all(client.clone());
        let of_node = format!("metadata.name={}", self.node);
        let what = format!("the node {}", self.node);
        let (mut objects, mut from) = listed(&policies).await?;
        if self.listed.keys().any(|uid| !objects.contains_key(uid)) {
            sleep(SETTLED).await;
            (objects, from) = listed(&policies).await?;
        }
        refuse_removed_kind(client).await?;
        let found = nodes.list_metadata(&ListParams::default().fields(&of_node)).await;
        let found = found.map_err(|error| of_client(&error, "list", &what))?;
        let of_node_from = whole(&found.metadata)?;
        let Some(mut node) = found.items.first().map(|node| cluster_node(&node.metadata)) else {
            return Err(format!("the cluster has no node {}", self.node).into());
        };
        self.tell_list(&objects, &node).await;
        let longest = WATCH.saturating_add((f64::from(WATCH) * self.spread / 5.0) as u32);
        let wanted = WatchParams::default().timeout(longest);
        let changes = policies.watch(&wanted, &from).await;
        let mut changes = changes.map_err(|error| missing(&error, "watch"))?.boxed();
        let of_node_changes = nodes
            .watch_metadata(&wanted.fields(&of_node), &of_node_from)
            .await;
        let mut of_node_changes = of_node_changes
            .map_err(|error| of_client(&error, "watch", &what))?
            .boxed();
        loop {
            tokio::select! {
                change = changes.next() => match change {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(missing(&error, "watch")),
                    Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                        objects.extend([entry(&object)]);
                    }
                    Some(Ok(WatchEvent::Deleted(object))) => {
                        // The event has the last state of the object. A new list decides whether it is gone.
                        objects.extend([entry(&object)]);
                        self.tell_list(&objects, &node).await;
                        return Ok(());
                    }
                    Some(Ok(WatchEvent::Bookmark(_))) => {}
                    Some(Ok(WatchEvent::Error(status))) => {
                        return Err(of_status(status.code, &status.message, "watch", POLICIES));
                    }
                },
                change = of_node_changes.next() => match change {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(of_client(&error, "watch", &what)),
                    Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                        node = of_object(&object);
                    }
                    Some(Ok(WatchEvent::Deleted(_))) => return Err(format!("{what} was deleted").into()),
                    Some(Ok(WatchEvent::Bookmark(_))) => {}
                    Some(Ok(WatchEvent::Error(status))) => {
                        return Err(of_status(status.code, &status.message, "watch", &what));
                    }
                },
                () = self.news.closed() => return Ok(()),
            }
            self.tell_list(&objects, &node).await;
        }
    }

    async fn tell_list(&mut self, objects: &BTreeMap<String, String>, node: &ClusterNode) {
        self.listed.clone_from(objects);
        let objects = objects.values().cloned().collect();
        let node = node.clone();
        self.tell(PolicyNews::Policies { objects, node }).await;
    }

    /// Reports what differs from the last report.
    async fn tell(&mut self, one: PolicyNews) {
        if self.reported.as_ref() != Some(&one) {
            self.reported = Some(one.clone());
            // Without a receiver the loop ends.
            let _ = self.news.send(one).await;
        }
    }
}

/// The resource of a kind.
pub(crate) fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind))
}

/// The policies, by UID, and the version of the list.
async fn listed(policies: &Api<DynamicObject>) -> Result<(BTreeMap<String, String>, String), Failed> {
    let list = policies.list(&ListParams::default()).await;
    let list = list.map_err(|error| missing(&error, "list"))?;
    let from = whole(&list.metadata)?;
    Ok((list.items.iter().map(entry).collect(), from))
}

/// Refuses a list while the server removes the kind: it deletes all objects first, and nobody deleted a policy. The
/// server does not offer `create` then (`crdHandler` and `DiscoveryController` of k8s.io/apiextensions-apiserver).
async fn refuse_removed_kind(client: &Client) -> Result<(), Failed> {
    let kinds = client
        .list_api_group_resources(&format!("{GROUP}/{VERSION}"))
        .await;
    let kinds = kinds.map_err(|error| match &error {
        kube::Error::Api(status) if status.code == 404 => missing(&error, "list"),
        other => of_client(other, "get", "the kinds of netkeel.io"),
    })?;
    let kind = kinds.resources.iter().find(|kind| kind.name == "netkeelpolicies");
    match kind.is_some_and(|kind| kind.verbs.iter().any(|verb| verb == "create")) {
        true => Ok(()),
        false => Err(format!("the cluster is removing the kind NetkeelPolicy of {GROUP}/{VERSION}").into()),
    }
}

/// The state that a complete list is of. A part of a list says nothing about what is not in it.
fn whole(list: &ListMeta) -> Result<String, String> {
    if list.continue_.as_deref().is_some_and(|more| !more.is_empty()) {
        return Err("the API server gave only a part of a list".to_owned());
    }
    match &list.resource_version {
        Some(version) if !version.is_empty() => Ok(version.clone()),
        _ => Err("the API server gave a list without a resourceVersion".to_owned()),
    }
}

/// One line about an error; a kind that the server does not know is not a policy that was deleted.
fn missing(error: &kube::Error, verb: &str) -> Failed {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            format!(
                "the cluster does not have the kind NetkeelPolicy of {GROUP}/{VERSION} (404): install the chart's definitions"
            )
            .into()
        }
        other => of_client(other, verb, POLICIES),
    }
}

fn uid(metadata: &ObjectMeta) -> String {
    metadata.uid.clone().unwrap_or_default()
}

/// A policy by its UID: the parts of the object on which a node depends.
fn entry(object: &DynamicObject) -> (String, String) {
    let metadata = &object.metadata;
    let slim = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "NetkeelPolicy",
        "metadata": { "name": metadata.name, "uid": metadata.uid, "generation": metadata.generation },
        "spec": object.data.get("spec").cloned().unwrap_or(Value::Null),
    });
    (uid(metadata), slim.to_string())
}

fn of_object(object: &PartialObjectMeta<Node>) -> ClusterNode {
    cluster_node(&object.metadata)
}

fn cluster_node(metadata: &ObjectMeta) -> ClusterNode {
    ClusterNode {
        uid: uid(metadata),
        labels: metadata.labels.clone().unwrap_or_default(),
    }
}
