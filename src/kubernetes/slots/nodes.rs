//! The nodes of the cluster as a node that waits for a slot sees them: which there are, whose agent lives, and what they
//! have in force.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;

use crate::lease::{FOR, expires};
use crate::policies::resource;
use crate::trouble::{Failed, of_client};
use netkeel_document::policy::slots::{NodeSeen, Now, Sightings};

pub(crate) const LEASES: &str = "leases in the namespace of the agents";

/// The nodes of the cluster, and those whose agent lives.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// When they were listed; `None` before that.
    pub(super) listed: Option<Now>,
    /// All Nodes, by name.
    pub(super) all: BTreeMap<String, NodeSeen>,
    /// The names of those whose agent lived when they were listed.
    pub(super) living: BTreeSet<String>,
    /// When the Leases of the agents changed.
    agents: Sightings,
}

impl Nodes {
    /// How long a list counts. In a large cluster the lists are long, and the share of the nodes changes little.
    fn lasts(&self) -> Duration {
        let nodes = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        Duration::from_millis(100).saturating_mul(nodes.saturating_sub(50))
    }

    /// Whether the last list still counts.
    pub(super) fn is_fresh(&self, now: Now) -> bool {
        self.listed
            .is_some_and(|listed| now.saturating_sub(listed) < self.lasts())
    }

    /// Lists the Nodes and the Leases of the agents. `longest` is the time after which a Lease has expired, and `clock`
    /// the clock of this agent.
    pub(super) async fn list(
        &mut self,
        client: &Client,
        api: &Api<Lease>,
        own: &str,
        longest: Duration,
        clock: &impl Fn() -> Now,
    ) -> Result<(), Failed> {
        // The list may lack a node that is made from now on.
        let listed = clock();
        let nodes: Api<Node> = Api::all(client.clone());
        let found = nodes.list_metadata(&ListParams::default()).await;
        let found = found.map_err(|error| of_client(&error, "list", "nodes in the cluster"))?;
        complete(&found.metadata, "nodes in the cluster")?;
        let named = found.items.into_iter().filter_map(|node| {
            let seen = NodeSeen {
                uid: node.metadata.uid.unwrap_or_default(),
                labels: node.metadata.labels.unwrap_or_default(),
            };
            Some((node.metadata.name?, seen))
        });
        let all: BTreeMap<String, NodeSeen> = named.collect();
        let agents = api
            .list(&ListParams::default().labels(&format!("{FOR}=agent")))
            .await;
        let agents = agents.map_err(|error| of_client(&error, "list", LEASES))?;
        complete(&agents.metadata, LEASES)?;
        let versions = agents.items.iter().filter_map(|lease| {
            let metadata = &lease.metadata;
            Some((metadata.name.as_deref()?, metadata.resource_version.as_deref()?))
        });
        self.all = all;
        let now = clock();
        let since = longest.max(self.lasts()).saturating_mul(2);
        self.agents.forget_older(since, now);
        self.agents.see(versions, now);
        let living = agents.items.iter().filter_map(|lease| {
            let name = lease.metadata.name.clone()?;
            let expires = expires(&lease.spec, longest);
            let lives = name == own || self.agents.is_living(&name, expires, now);
            (lives && self.all.contains_key(&name)).then_some(name)
        });
        self.living = living.collect();
        self.listed = Some(listed);
        Ok(())
    }
}

/// Refuses a part of a list: what it lacks is not gone.
pub(crate) fn complete(list: &ListMeta, what: &str) -> Result<(), String> {
    match list.continue_.as_deref() {
        None | Some("") => Ok(()),
        Some(_) => Err(format!("the API server lists only a part of the {what}")),
    }
}

/// The hash of a policy's document that a node has in force, as its `NetkeelNode` says.
pub(super) async fn in_force(client: &Client, node: &str, policy: &str) -> Result<Option<String>, Failed> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource("NetkeelNode"));
    let found = api.get_opt(node).await;
    let found = found.map_err(|error| of_client(&error, "get", &format!("the netkeelnode {node}")))?;
    let status = found.as_ref().and_then(|found| found.data.get("status"));
    Ok(status.and_then(|status| enforced(status, policy)))
}

/// The hash of a policy's document that a node enforces. One that the node only observes is not in force, although it may
/// have the same hash.
fn enforced(status: &Value, policy: &str) -> Option<String> {
    let mut policies = status.get("policies")?.as_array()?.iter();
    let is = |one: &&Value, key: &str, value: &str| one.get(key).is_some_and(|found| found == value);
    let found = policies.find(|one| is(one, "name", policy) && is(one, "mode", "enforce"))?;
    found.get("documentHash")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_document_that_a_node_enforces_is_in_force() {
        let one = |name: &str, mode: &str| json!({ "name": name, "documentHash": "d1", "mode": mode });
        for (policies, expected) in [
            (json!([one("a", "enforce")]), Some("d1")),
            (json!([one("b", "enforce"), one("a", "enforce")]), Some("d1")),
            // It observed the same document before, and was cut off in the change to `enforce`.
            (json!([one("a", "observe")]), None),
            (json!([one("b", "enforce")]), None),
            (json!([{ "name": "a", "documentHash": "d1" }]), None),
            (json!([{ "name": "a", "mode": "enforce" }]), None),
            (json!([]), None),
            (json!(null), None),
        ] {
            let status = json!({ "policies": policies });
            assert_eq!(enforced(&status, "a").as_deref(), expected, "{status}");
        }
        assert_eq!(enforced(&json!({}), "a"), None);
    }

    #[test]
    fn a_part_of_a_list_is_refused() {
        let list = |more: Option<&str>| ListMeta {
            continue_: more.map(str::to_owned),
            ..ListMeta::default()
        };
        assert_eq!(complete(&list(None), "nodes"), Ok(()));
        assert_eq!(complete(&list(Some("")), "nodes"), Ok(()));
        let why = complete(&list(Some("abc")), "nodes").unwrap_err();
        assert_eq!(why, "the API server lists only a part of the nodes");
    }

    #[test]
    fn a_list_counts_longer_in_a_large_cluster() {
        let seconds = Duration::from_secs;
        for (count, age, fresh) in [
            (20, 0, false),
            (350, 29, true),
            (350, 30, false),
            (5_000, 494, true),
        ] {
            let all = (0..count).map(|number| (format!("n{number}"), NodeSeen::default()));
            let nodes = Nodes {
                listed: Some(seconds(7)),
                all: all.collect(),
                ..Nodes::default()
            };
            assert_eq!(nodes.is_fresh(seconds(7 + age)), fresh, "{count} {age}");
        }
        assert!(!Nodes::default().is_fresh(seconds(0)), "never listed");
    }
}
