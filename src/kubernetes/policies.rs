//! Follows the policies of the cluster, and the Node on which the agent runs.

use std::collections::BTreeMap;
use std::future::Future;
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

/// A list is kept so long while the server refuses the requests that follow it (429). Its watch begins with the changes since
/// then. A server whose data went back to an older state was away in between, and a failure of that kind keeps nothing.
const KEPT: Duration = Duration::from_secs(120);

/// The policies in an error.
pub(crate) const POLICIES: &str = "netkeelpolicies in the cluster";

/// Follows the policies until the caller drops the future or the receiver of the news, and reports each complete list
/// that differs from the last one. `spread` is from 0 to 1: it spreads the requests of many agents over time.
///
/// Each watch begins with a complete list, also after a connection that broke: when the server's data went back to an
/// older state, it answers the old watch with silence. A policy that is missing is missed in two lists. When the server refuses
/// a request for now (429), only that request is repeated, for some time.
pub async fn follow_policies(connection: Connection, node: String, spread: f64, news: Sender<PolicyNews>) {
    let spread = spread.clamp(0.0, 1.0);
    let mut follower = Follower {
        node,
        spread,
        pause: PAUSE,
        is_throttled: false,
        reported: None,
        listed: BTreeMap::new(),
        news,
    };
    let mut client = KeptClient::new(connection);
    while !follower.news.is_closed() {
        let begun = Instant::now();
        let done = match client.get().await {
            Ok(client) => follower.round(&client).await,
            Err(why) => Err(why),
        };
        match done {
            // A server that ends each watch at once is asked no more often than one that refuses.
            Ok(()) if begun.elapsed() > PAUSE => {
                follower.pause = PAUSE;
                sleep(PAUSE.mul_f64(spread)).await;
            }
            Ok(()) => wait(&mut follower.pause, spread).await,
            Err(why) => {
                if begun.elapsed() > Duration::from_secs(60) {
                    follower.pause = PAUSE;
                }
                client.failed(&why);
                follower.tell(PolicyNews::Trouble(why.text.clone())).await;
                follower.wait(&why).await;
            }
        }
    }
}

struct Follower {
    node: String,
    spread: f64,
    /// The pause after the next failure.
    pause: Duration,
    /// Whether the server refused the last request that failed for now.
    is_throttled: bool,
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
        let mut read = Instant::now();
        let (mut objects, mut from) = listed(&policies).await?;
        if self.listed.keys().any(|uid| !objects.contains_key(uid)) {
            sleep(SETTLED).await;
            read = Instant::now();
            (objects, from) = self.ask(read, || listed(&policies)).await?;
        }
        self.ask(read, || refuse_removed_kind(client)).await?;
        let one = ListParams::default().fields(&of_node);
        let found = || async {
            let found = nodes.list_metadata(&one).await;
            found.map_err(|error| of_client(&error, "list", &what))
        };
        let found = self.ask(read, found).await?;
        let of_node_from = whole(&found.metadata)?;
        let Some(mut node) = found.items.first().map(|node| cluster_node(&node.metadata)) else {
            return Err(format!("the cluster has no node {}", self.node).into());
        };
        self.tell_list(&objects, &node).await;
        let longest = WATCH.saturating_add((f64::from(WATCH) * self.spread / 5.0) as u32);
        let wanted = WatchParams::default().timeout(longest);
        let changes = || async {
            let changes = policies.watch(&wanted, &from).await;
            changes.map_err(|error| missing(&error, "watch"))
        };
        let mut changes = self.ask(read, changes).await?.boxed();
        let wanted_of_node = wanted.clone().fields(&of_node);
        let of_node_changes = || async {
            let changes = nodes.watch_metadata(&wanted_of_node, &of_node_from).await;
            changes.map_err(|error| of_client(&error, "watch", &what))
        };
        let mut of_node_changes = self.ask(read, of_node_changes).await?.boxed();
        // A refusal is over.
        self.tell_list(&objects, &node).await;
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

    /// Repeats a request that the server refuses for now, while what this round has read since `read` is kept.
    async fn ask<T, A: Future<Output = Result<T, Failed>>>(
        &mut self,
        read: Instant,
        request: impl Fn() -> A,
    ) -> Result<T, Failed> {
        loop {
            match request().await {
                Err(why) if why.is_throttled && read.elapsed() < KEPT && !self.news.is_closed() => {
                    self.tell(PolicyNews::Trouble(why.text.clone())).await;
                    self.wait(&why).await;
                }
                done => return done,
            }
        }
    }

    /// Waits after a failure.
    async fn wait(&mut self, why: &Failed) {
        // A server that was away is back. It refuses requests for some seconds, and not as long as it was away.
        if why.is_throttled && !self.is_throttled {
            self.pause = PAUSE;
        }
        self.is_throttled = why.is_throttled;
        wait_after(why, &mut self.pause, self.spread).await;
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::trouble::server::{Answer, Server, refused};

    /// What a server with the policy `a` answers; each of its lists is of a newer state.
    fn usual(request: &str, state: &mut u32) -> Answer {
        *state += 10;
        let metadata = json!({ "resourceVersion": state.to_string() });
        let policy = json!({ "metadata": { "name": "a", "uid": "u1", "generation": 1 }, "spec": {} });
        let node = json!({ "metadata": { "name": "n1", "uid": "u2" } });
        let kind = json!({ "name": "netkeelpolicies", "kind": "NetkeelPolicy", "singularName": "", "namespaced": false, "verbs": ["create"] });
        match request {
            "get netkeelpolicies" => Answer::Is(200, json!({ "metadata": metadata, "items": [policy] })),
            "get v1alpha1" => Answer::Is(
                200,
                json!({ "kind": "APIResourceList", "groupVersion": "netkeel.io/v1alpha1", "resources": [kind] }),
            ),
            "get nodes" => Answer::Is(
                200,
                json!({ "kind": "PartialObjectMetadataList", "metadata": metadata, "items": [node] }),
            ),
            _ => Answer::Watch,
        }
    }

    /// A list without the policy.
    fn empty(state: &str, more: &str) -> Answer {
        Answer::Is(
            200,
            json!({ "metadata": { "resourceVersion": state, "continue": more }, "items": [] }),
        )
    }

    type Heard = Arc<Mutex<Vec<PolicyNews>>>;

    fn follow(server: &Server) -> Heard {
        let (sender, mut news) = channel(1);
        let connection = Connection::Kubeconfig(server.kubeconfig());
        tokio::spawn(follow_policies(connection, "n1".to_owned(), 0.0, sender));
        let heard = Heard::default();
        let told = heard.clone();
        tokio::spawn(async move {
            while let Some(one) = news.recv().await {
                told.lock().unwrap().push(one);
            }
        });
        heard
    }

    /// The numbers of policies in the reports, and the troubles.
    fn lists_and_troubles(heard: &Heard) -> (Vec<usize>, Vec<String>) {
        let (mut lists, mut troubles) = (Vec::new(), Vec::new());
        for news in heard.lock().unwrap().iter() {
            match news {
                PolicyNews::Policies { objects, .. } => lists.push(objects.len()),
                PolicyNews::Trouble(why) => troubles.push(why.clone()),
            }
        }
        (lists, troubles)
    }

    /// Waits until the server was asked so much, and the last report is a list.
    async fn settled(server: &Server, requests: usize, heard: &Heard) {
        let end = Instant::now() + Duration::from_secs(100);
        let is_list = || matches!(heard.lock().unwrap().last(), Some(PolicyNews::Policies { .. }));
        while server.asked().len() < requests || !is_list() {
            assert!(Instant::now() < end, "{:?} {heard:?}", server.asked());
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_refused_request_alone_is_repeated() {
        let all = [
            "get netkeelpolicies",
            "get v1alpha1",
            "get nodes",
            "watch netkeelpolicies from 10",
            "watch nodes from 30",
        ];
        run(async {
            let followed = (0..all.len()).map(|at| {
                let (mut state, mut asked) = (0, 0);
                let server = Server::start(move |request| {
                    asked += 1;
                    match asked == at + 1 {
                        true => refused(),
                        false => usual(request, &mut state),
                    }
                });
                let heard = follow(&server);
                (at, server, heard)
            });
            let followed: Vec<_> = followed.collect();
            for (at, server, heard) in &followed {
                settled(server, all.len() + 1, heard).await;
                let mut expected = all.to_vec();
                expected.insert(*at, all[*at]);
                assert_eq!(server.asked(), expected);
                let (lists, troubles) = lists_and_troubles(heard);
                assert_eq!(troubles, ["the API server is overloaded (429)"]);
                assert!(lists.iter().all(|list| *list == 1), "{lists:?}");
            }
        });
    }

    #[test]
    fn a_list_whose_changes_are_gone_is_read_again_also_after_a_refusal() {
        let (mut state, mut watches) = (0, 0);
        let server = Server::start(move |request| {
            watches += u32::from(request.starts_with("watch netkeelpolicies"));
            match (request, watches) {
                ("watch netkeelpolicies from 10", 1) => refused(),
                ("watch netkeelpolicies from 10", _) => {
                    Answer::Is(410, json!({ "kind": "Status", "code": 410, "message": "gone" }))
                }
                (request, _) => usual(request, &mut state),
            }
        });
        run(async {
            let heard = follow(&server);
            settled(&server, 10, &heard).await;
            let first = ["get netkeelpolicies", "get v1alpha1", "get nodes"];
            let asked = server.asked();
            assert_eq!([&asked[..3], &asked[5..8]].concat(), [first, first].concat());
            assert_eq!(asked[3..5], ["watch netkeelpolicies from 10"; 2]);
            assert_eq!(
                asked[8..],
                ["watch netkeelpolicies from 40", "watch nodes from 60"]
            );
            let (_, troubles) = lists_and_troubles(&heard);
            assert!(troubles.iter().any(|why| why.contains("410")), "{troubles:?}");
        });
    }

    #[test]
    fn a_policy_that_is_missing_in_refused_and_incomplete_lists_is_kept() {
        let (mut state, mut lists) = (0, 0);
        let server = Server::start(move |request| {
            lists += u32::from(request == "get netkeelpolicies");
            match (request, lists) {
                ("get netkeelpolicies", 2) => empty("11", ""),
                ("get netkeelpolicies", 3) => refused(),
                ("get netkeelpolicies", 4) => empty("12", "more"),
                // The first watch ends.
                (request, 1) if request.starts_with("watch") => Answer::Is(200, Value::Null),
                (request, _) => usual(request, &mut state),
            }
        });
        run(async {
            let heard = follow(&server);
            // Two rounds of five, and three lists between them.
            settled(&server, 13, &heard).await;
            let (lists, troubles) = lists_and_troubles(&heard);
            assert!(lists.iter().all(|list| *list == 1), "{lists:?}");
            assert_eq!(
                troubles,
                [
                    "the API server is overloaded (429)",
                    "the API server gave only a part of a list"
                ]
            );
        });
    }

    #[test]
    fn an_old_list_is_not_kept() {
        run(async {
            let (news, _told) = channel(1);
            let mut follower = Follower {
                node: "n1".to_owned(),
                spread: 0.0,
                pause: PAUSE,
                is_throttled: false,
                reported: None,
                listed: BTreeMap::new(),
                news,
            };
            let read = Instant::now().checked_sub(KEPT).unwrap();
            let done: Result<(), Failed> = follower
                .ask(read, || async { Err(of_status(429, "", "list", POLICIES)) })
                .await;
            assert!(done.unwrap_err().is_throttled && follower.reported.is_none());
        });
    }
}
