//! Lists the pods of a node, and evicts those that the node decides to evict.

mod answer;
mod owner;
mod pod;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use kube::client::Body;
use kube::core::{DynamicObject, Request};
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, client};
use crate::evictions::answer::end;
use crate::evictions::owner::Owners;
use crate::evictions::pod::seen;
use crate::policies::{POLICIES, resource};
use crate::slots::Pace;
use crate::trouble::of_client;
use netkeel_document::policy::eviction::PodSeen;
use netkeel_document::policy::eviction::news::{Eviction, EvictionEnd, EvictionNews, EvictionRequest};

const PODS: &str = "pods in the cluster";

/// Answers the requests of a node, until the caller drops the future or the sender of the requests. `pace` is that of the
/// Leases.
///
/// One node at a time evicts pods of one controller, and only while all others of it are ready.
pub async fn evict_pods(
    connection: Connection,
    node: String,
    pace: Pace,
    mut requests: Receiver<EvictionRequest>,
    news: Sender<EvictionNews>,
) {
    let mut owners = Owners::new(node.clone(), pace);
    let mut due = Instant::now();
    loop {
        let request = tokio::select! {
            request = requests.recv() => match request {
                Some(request) => request,
                None => return,
            },
            () = sleep_until(due), if !owners.is_idle() => {
                due = Instant::now() + pace.look;
                // What fails now is tried again; a Lease that is not renewed expires.
                if let Ok(client) = client(&connection).await {
                    let _ = owners.tend(&client).await;
                }
                for (owner, why) in owners.not_whole() {
                    if news.send(EvictionNews::NotWhole { owner, why }).await.is_err() {
                        return;
                    }
                }
                continue;
            }
        };
        let one = match request {
            EvictionRequest::Look => match look(&connection, &node).await {
                Ok(pods) => EvictionNews::Pods(pods),
                Err(why) => EvictionNews::Trouble(why),
            },
            EvictionRequest::Evict(eviction) => {
                let done = evict(&connection, &eviction, &mut owners).await;
                EvictionNews::Ended {
                    uid: eviction.uid,
                    end: done.unwrap_or_else(EvictionEnd::Failed),
                }
            }
        };
        if news.send(one).await.is_err() {
            return;
        }
    }
}

/// All pods of the node.
async fn look(connection: &Connection, node: &str) -> Result<BTreeMap<String, PodSeen>, String> {
    let pods: Api<Pod> = Api::all(client(connection).await?);
    let of_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let list = pods.list(&of_node).await;
    let list = list.map_err(|error| of_client(&error, "list", PODS))?;
    crate::slots::complete(&list.metadata, PODS)?;
    Ok(list.items.iter().filter_map(seen).collect())
}

/// Evicts a pod, if its owner lets it go now.
async fn evict(
    connection: &Connection,
    eviction: &Eviction,
    owners: &mut Owners,
) -> Result<EvictionEnd, String> {
    let client = client(connection).await?;
    if !is_in_force(&client, eviction).await? {
        return Ok(EvictionEnd::Busy("its policy was edited or deleted".to_owned()));
    }
    if let Some(why) = owners.take(&client, eviction).await? {
        return Ok(EvictionEnd::Busy(why));
    }
    let end = post(&client, eviction).await;
    owners.asked(&client, &eviction.owner, end.as_ref().ok()).await;
    end
}

/// Whether the server has the policy still as the node knows it.
async fn is_in_force(client: &Client, eviction: &Eviction) -> Result<bool, String> {
    let policies: Api<DynamicObject> = Api::all_with(client.clone(), &resource("NetkeelPolicy"));
    let of_name = ListParams::default().fields(&format!("metadata.name={}", eviction.policy));
    let list = policies.list_metadata(&of_name).await;
    let list = list.map_err(|error| of_client(&error, "list", POLICIES))?;
    let mut found = list.items.iter().map(|policy| &policy.metadata);
    Ok(found.any(|policy| {
        policy.uid.as_ref() == Some(&eviction.policy_uid)
            && policy.generation == Some(eviction.generation)
            && policy.deletion_timestamp.is_none()
    }))
}

/// Asks the server to evict a pod. The UID is a precondition: another pod of that name stays.
async fn post(client: &Client, eviction: &Eviction) -> Result<EvictionEnd, String> {
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": eviction.name, "namespace": eviction.namespace },
        "deleteOptions": { "preconditions": { "uid": eviction.uid } },
    });
    let place = Pod::url_path(&(), Some(&eviction.namespace));
    let request = Request::new(place)
        .create_subresource(
            "eviction",
            &eviction.name,
            &PostParams::default(),
            body.to_string().into_bytes(),
        )
        .map_err(|error| error.to_string())?;
    let lost = |error: kube::Error| {
        Ok(EvictionEnd::Unknown(
            of_client(&error, "create", "evictions").into(),
        ))
    };
    let response = match client.send(request.map(Body::from)).await {
        Ok(response) => response,
        Err(error) => return lost(error),
    };
    let code = response.status().as_u16();
    let header = response.headers().get("Retry-After");
    let header = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
    match response.into_body().collect_bytes().await {
        Ok(text) => end(code, header.as_deref(), &String::from_utf8_lossy(&text)),
        Err(error) => lost(error),
    }
}

/// The pace of the Leases when none is given.
pub fn pace() -> Pace {
    Pace {
        look: Duration::from_secs(10),
        ..Pace::default()
    }
}
