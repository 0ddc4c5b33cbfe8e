//! Reads the objects of a cluster that findings and reviews are about. It writes nothing.

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::core::Request;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::connection::{Connection, client_with_retry};
use crate::trouble::of_client;

/// The states of the nodes.
const NETKEELNODES: (&str, &str) = ("netkeelnodes", "/apis/netkeel.io/v1alpha1/netkeelnodes");

/// The lists, each with its address. A kind that the cluster does not have is no trouble.
const LISTS: &[(&str, &str)] = &[
    ("networkpolicies", "/apis/networking.k8s.io/v1/networkpolicies"),
    (
        "configmaps in the namespace kube-system",
        "/api/v1/namespaces/kube-system/configmaps",
    ),
    NETKEELNODES,
    (
        "installations of Calico",
        "/apis/operator.tigera.io/v1/installations",
    ),
    (
        "felixconfigurations",
        "/apis/crd.projectcalico.org/v1/felixconfigurations",
    ),
    (
        "networkpolicies of Calico",
        "/apis/crd.projectcalico.org/v1/networkpolicies",
    ),
    (
        "globalnetworkpolicies",
        "/apis/crd.projectcalico.org/v1/globalnetworkpolicies",
    ),
    (
        "ciliumnetworkpolicies",
        "/apis/cilium.io/v2/ciliumnetworkpolicies",
    ),
    (
        "ciliumclusterwidenetworkpolicies",
        "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies",
    ),
    ("subnets of kube-ovn", "/apis/kubeovn.io/v1/subnets"),
];

/// The objects as JSON, and why some of them could not be read.
///
/// # Errors
/// When the API server cannot be reached.
pub fn read_objects(connection: &Connection) -> Result<(Vec<String>, Vec<String>), String> {
    block_on(read(connection))
}

/// The nodes and the `NetkeelNode`s of the cluster as one list in JSON, with what a review of a policy needs: their
/// names, the labels of nodes, and the policies in force.
///
/// # Errors
/// When the API server cannot be reached, or does not list all of them. Without a list nobody knows which nodes a policy
/// selects, or what is in force. A cluster without the kind `NetkeelNode` has no `NetkeelNode`.
pub fn read_nodes(connection: &Connection) -> Result<String, String> {
    block_on(async {
        let client = client_with_retry(connection).await?;
        let nodes: Api<Node> = Api::all(client.clone());
        let found = nodes.list_metadata(&ListParams::default()).await;
        let found = found.map_err(|error| of_client(&error, "list", "nodes"))?;
        is_whole(found.metadata.continue_.as_deref(), "nodes")?;
        let states = items(&client, NETKEELNODES.0, NETKEELNODES.1).await?;
        let nodes = found.items.iter().map(|node| {
            json!({ "kind": "Node", "metadata": { "name": node.metadata.name, "labels": node.metadata.labels } })
        });
        let states = states.iter().map(|state| {
            json!({
                "kind": "NetkeelNode",
                "metadata": { "name": state.pointer("/metadata/name") },
                "status": { "policies": state.pointer("/status/policies") },
            })
        });
        let mut items: Vec<Value> = nodes.chain(states).collect();
        items.iter_mut().for_each(without_nulls);
        Ok(json!({ "items": items }).to_string())
    })
}

/// A DaemonSet with the pods and the events of its namespace, as JSON.
///
/// # Errors
/// When one of them cannot be read.
pub fn read_agents(connection: &Connection, namespace: &str, name: &str) -> Result<Vec<String>, String> {
    block_on(agents(connection, namespace, name))
}

fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the event loop: {error}"))?;
    runtime.block_on(work)
}

async fn agents(connection: &Connection, namespace: &str, name: &str) -> Result<Vec<String>, String> {
    let client = client_with_retry(connection).await?;
    let (mut found, mut is_there) = (Vec::new(), false);
    for (what, kind, address) in [
        (
            "daemonsets",
            "DaemonSet",
            format!("/apis/apps/v1/namespaces/{namespace}/daemonsets"),
        ),
        ("pods", "Pod", format!("/api/v1/namespaces/{namespace}/pods")),
        (
            "events",
            "Event",
            format!("/api/v1/namespaces/{namespace}/events"),
        ),
    ] {
        for mut item in items(&client, what, &address).await? {
            let is_named = item.pointer("/metadata/name").and_then(Value::as_str) == Some(name);
            if kind == "DaemonSet" && !is_named {
                continue;
            }
            is_there |= kind == "DaemonSet";
            // The items of a list do not have it.
            item["kind"] = json!(kind);
            item["apiVersion"] = json!(if kind == "DaemonSet" { "apps/v1" } else { "v1" });
            found.push(item.to_string());
        }
    }
    match is_there {
        true => Ok(found),
        false => Err(format!("there is no DaemonSet {namespace}/{name}")),
    }
}

async fn read(connection: &Connection) -> Result<(Vec<String>, Vec<String>), String> {
    let client = client_with_retry(connection).await?;
    let version = client.apiserver_version().await;
    version.map_err(|error| of_client(&error, "get", "the version of the API server"))?;
    let (mut objects, mut troubles) = (Vec::new(), Vec::new());
    for (what, address) in LISTS {
        match list(&client, what, address).await {
            Ok(found) => objects.extend(found),
            Err(why) => troubles.push(why),
        }
    }
    Ok((objects, troubles))
}

/// A complete list without its items, and these; `None` if the cluster does not have the kind.
async fn whole(client: &Client, what: &str, address: &str) -> Result<Option<(Value, Vec<Value>)>, String> {
    let request = Request::new(address).list(&ListParams::default());
    let request = request.map_err(|error| error.to_string())?;
    let mut list: Value = match client.request(request).await {
        Ok(list) => list,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => return Err(of_client(&error, "list", what).into()),
    };
    is_whole(list.pointer("/metadata/continue").and_then(Value::as_str), what)?;
    let items = taken(&mut list, what)?;
    Ok(Some((list, items)))
}

/// The items of a list. Go writes null for none. An answer without items, as of a proxy, is no empty list.
fn taken(list: &mut Value, what: &str) -> Result<Vec<Value>, String> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err(format!("the API server's list of the {what} has no items")),
    }
}

/// Refuses a part of a list.
fn is_whole(more: Option<&str>, what: &str) -> Result<(), String> {
    match more.is_some_and(|more| !more.is_empty()) {
        true => Err(format!("the API server lists only a part of the {what}")),
        false => Ok(()),
    }
}

async fn items(client: &Client, what: &str, address: &str) -> Result<Vec<Value>, String> {
    let found = whole(client, what, address).await?;
    Ok(found.map(|(_, items)| items).unwrap_or_default())
}

async fn list(client: &Client, what: &str, address: &str) -> Result<Vec<String>, String> {
    let Some((list, items)) = whole(client, what, address).await? else {
        return Ok(Vec::new());
    };
    let slim =
        |item| slim(&list, item).ok_or_else(|| format!("the API server's list of the {what} has no kind"));
    items.iter().map(slim).collect()
}

/// The parts of an object that findings need. A ConfigMap of another program may have secrets.
fn slim(list: &Value, item: &Value) -> Option<String> {
    let kind = list.get("kind")?.as_str()?;
    let kind = kind.strip_suffix("List").unwrap_or(kind);
    let name = item.pointer("/metadata/name");
    let data = item.get("data");
    let is_cilium = name.and_then(Value::as_str) == Some("cilium-config");
    let kept = |key: &str| data.and_then(|data| data.get(key)).cloned();
    let data = match is_cilium {
        true => json!({ "mtu": kept("mtu"), "cni-chaining-mode": kept("cni-chaining-mode") }),
        false => json!({ "Corefile": kept("Corefile") }),
    };
    let mut slim = json!({
        "apiVersion": list.get("apiVersion"),
        "kind": kind,
        "metadata": { "name": name, "namespace": item.pointer("/metadata/namespace") },
        "data": data,
        "spec": item.get("spec"),
        "specs": item.get("specs"),
        "status": { "path": item.pointer("/status/path") },
    });
    without_nulls(&mut slim);
    Some(slim.to_string())
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::ObjectList;

    #[test]
    fn only_what_findings_need_is_kept() {
        let list = json!({ "apiVersion": "v1", "kind": "ConfigMapList" });
        let map = json!({
            "metadata": { "name": "coredns", "namespace": "kube-system", "managedFields": [{}] },
            "data": { "Corefile": ".:53 {\n}\n", "token": "secret" },
        });
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "coredns", "namespace": "kube-system" },
            "data": { "Corefile": ".:53 {\n}\n" },
            "status": {},
        });
        let kept: Value = serde_json::from_str(&slim(&list, &map).unwrap()).unwrap();
        assert_eq!(kept, wanted);
    }

    #[test]
    fn an_answer_without_items_is_no_empty_list() {
        let taken = |mut list: Value| super::taken(&mut list, "nodes");
        assert_eq!(taken(json!({ "items": [{}] })), Ok(vec![json!({})]));
        for none in [json!({ "items": [] }), json!({ "items": null })] {
            assert_eq!(taken(none), Ok(vec![]));
        }
        for answer in [json!({}), json!({ "items": {} }), json!("ok"), json!(null)] {
            let why = "the API server's list of the nodes has no items";
            assert_eq!(taken(answer), Err(why.to_owned()));
        }
    }

    /// The lists of policies, peers and Leases: what one lacks is released or forgotten.
    #[test]
    fn the_client_takes_no_answer_without_items_for_a_list() {
        let listed =
            |answer: Value| serde_json::from_value::<ObjectList<Node>>(answer).map(|list| list.items.len());
        let with = |items: Value| json!({ "kind": "NodeList", "apiVersion": "v1", "metadata": { "resourceVersion": "7" }, "items": items });
        let mut without = with(json!([]));
        assert_eq!(listed(without.clone()).ok(), Some(0));
        if let Value::Object(fields) = &mut without {
            fields.remove("items");
        }
        let why = listed(without).unwrap_err().to_string();
        assert!(why.contains("items"), "{why}");
        assert!(listed(with(json!({}))).is_err());
    }

    #[test]
    fn an_object_keeps_what_findings_read_and_no_value_of_others() {
        let slim = |kind: &str, item: Value| -> Value {
            let list = json!({ "apiVersion": "v1", "kind": format!("{kind}List") });
            serde_json::from_str(&super::slim(&list, &item).unwrap()).unwrap()
        };
        // A policy of Cilium may have several rules.
        let rules = json!([{ "endpointSelector": {}, "ingress": [{}] }]);
        let policy = json!({ "metadata": { "name": "p", "namespace": "a" }, "specs": rules });
        assert_eq!(slim("CiliumNetworkPolicy", policy)["specs"], rules);
        let map = |name: &str, data: Value| {
            slim("ConfigMap", json!({ "metadata": { "name": name }, "data": data }))
        };
        let cilium = json!({ "mtu": "1440", "cni-chaining-mode": "aws-cni", "identity": "secret" });
        let kept = json!({ "mtu": "1440", "cni-chaining-mode": "aws-cni" });
        assert_eq!(map("cilium-config", cilium)["data"], kept);
        let dns = json!({ "Corefile": ".:53 {}", "other": "secret" });
        assert_eq!(map("coredns", dns)["data"], json!({ "Corefile": ".:53 {}" }));
    }
}
