//! The controllers of which this node evicts a pod: no other node does so meanwhile, and all their pods are ready.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use tokio::time::Instant;

use crate::evictions::pod::{controller, is_finished, is_ready};
use crate::lease::{eviction_name, expires, needed_pods, of_eviction};
use crate::slots::{LEASES, Pace, complete};
use crate::trouble::of_client;
use netkeel_document::policy::eviction::news::{Eviction, EvictionEnd};

/// An owner that does not come back is stopped after so long.
const LONGEST: Duration = Duration::from_secs(600);

/// A request whose answer was lost did nothing if the pod still runs after so long: the server ends a request after 60 s.
const LOST: Duration = Duration::from_secs(180);

/// The controllers of this node's evictions.
pub(super) struct Owners {
    node: String,
    pace: Pace,
    held: BTreeMap<String, HeldOwner>,
    /// The versions of Leases of other nodes, and since when they are the same.
    seen: BTreeMap<String, (String, Instant)>,
    /// Controllers that did not come back, each with a line, until somebody takes them.
    not_whole: Vec<(String, String)>,
}

struct HeldOwner {
    eviction: Eviction,
    version: Option<String>,
    /// The number of its pods before the eviction.
    pods: usize,
    /// The pod was among them.
    had_pod: bool,
    asked: Asked,
    since: Instant,
    renewed: Instant,
}

/// What is known of the request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The server evicts the pod, or it is gone.
    Evicted,
    /// The answer was lost.
    Unsure,
    /// Nothing was asked, or the server refused it.
    Nothing,
}

impl Owners {
    pub(super) fn new(node: String, pace: Pace) -> Self {
        Owners {
            node,
            pace,
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            not_whole: Vec::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes the owner of a pod. Returns why not, if another node has it, or if it is not whole.
    pub(super) async fn take(
        &mut self,
        client: &Client,
        eviction: &Eviction,
    ) -> Result<Option<String>, String> {
        let before = self.held.get(&eviction.owner);
        let is_again = |held: &HeldOwner| held.asked == Asked::Unsure && held.eviction.uid == eviction.uid;
        if before.is_some_and(|held| !is_again(held)) {
            return Ok(Some(
                "the last eviction of a pod of its owner is not done".to_owned(),
            ));
        }
        let since = before.map(|held| held.since);
        let is_again = since.is_some();
        let leases: Api<Lease> = Api::default_namespaced(client.clone());
        let name = eviction_name(&eviction.owner);
        let found = leases.get_opt(&name).await;
        let found = found.map_err(|error| of_client(&error, "get", LEASES))?;
        if let Some(lease) = &found
            && let Some(why) = self.other_holder(&name, lease)
        {
            return Ok(Some(why));
        }
        // Whoever evicted the last one, and however long ago: its replacement must be there.
        let needed = found.as_ref().map_or(0, needed_pods);
        let version = found.and_then(|lease| lease.metadata.resource_version);
        let written = self
            .write(&leases, eviction, true, needed, version.as_deref())
            .await?;
        let Some(version) = written else {
            self.held.remove(&eviction.owner);
            return Ok(Some("another node was faster".to_owned()));
        };
        let now = Instant::now();
        let held = HeldOwner {
            eviction: eviction.clone(),
            version: version.clone(),
            pods: needed,
            had_pod: true,
            asked: if is_again { Asked::Unsure } else { Asked::Nothing },
            since: since.unwrap_or(now),
            renewed: now,
        };
        self.held.insert(eviction.owner.clone(), held);
        // While no other node evicts one of them.
        let pods = match of_owner(client, eviction).await {
            Ok(pods) => match pods.not_whole(needed, Some(&eviction.uid)) {
                None => Ok(pods),
                Some(why) => Err(Ok(Some(why))),
            },
            Err(why) => Err(Err(why)),
        };
        let pods = match pods {
            Ok(pods) => pods,
            Err(end) if is_again => return end,
            Err(end) => {
                self.give_back(client, &eviction.owner, needed).await?;
                return end;
            }
        };
        let count = pods.of_owner.len();
        let written = self
            .write(&leases, eviction, true, count, version.as_deref())
            .await?;
        match (written, self.held.get_mut(&eviction.owner)) {
            (Some(version), Some(held)) => {
                held.version = version;
                held.pods = count;
                held.had_pod = pods.has(&eviction.uid);
                Ok(None)
            }
            _ => {
                self.held.remove(&eviction.owner);
                Ok(Some("another node was faster".to_owned()))
            }
        }
    }

    /// Takes the answer to a request; `None` if the server refuses it for good.
    pub(super) async fn asked(&mut self, client: &Client, owner: &str, end: Option<&EvictionEnd>) {
        let Some(held) = self.held.get_mut(owner) else {
            return;
        };
        held.asked = match end {
            Some(EvictionEnd::Evicted) => Asked::Evicted,
            Some(EvictionEnd::Unknown(_)) => Asked::Unsure,
            // A refusal says nothing of an earlier request.
            _ if held.asked == Asked::Unsure => Asked::Unsure,
            // Its replacement is to come, whoever deleted it.
            Some(EvictionEnd::Gone) if held.had_pod => Asked::Evicted,
            _ => Asked::Nothing,
        };
        if held.asked == Asked::Nothing {
            // What fails now is tried again.
            let _ = self.give_back(client, owner, 0).await;
        }
    }

    /// The owners that did not come back, once.
    pub(super) fn not_whole(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.not_whole)
    }

    /// Why a Lease is not this node's to take.
    fn other_holder(&mut self, name: &str, lease: &Lease) -> Option<String> {
        let spec = lease.spec.as_ref()?;
        let holder = spec.holder_identity.as_ref();
        let holder = holder.filter(|holder| !holder.is_empty() && **holder != self.node)?;
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let now = Instant::now();
        let seen = self.seen.entry(name.to_owned()).or_insert((version.clone(), now));
        if seen.0 != version {
            *seen = (version, now);
        }
        let is_expired = seen.1.elapsed() >= expires(&lease.spec, self.pace.expires);
        (!is_expired).then(|| format!("the node {holder} evicts a pod of its owner"))
    }

    /// Writes the Lease of an owner. Returns its version; `None` if another node wrote it.
    async fn write(
        &self,
        leases: &Api<Lease>,
        eviction: &Eviction,
        holds: bool,
        pods: usize,
        version: Option<&str>,
    ) -> Result<Option<Option<String>>, String> {
        let holder = holds.then_some(&*self.node);
        let lease = of_eviction(eviction, holder, pods, version, self.pace.expires);
        let by = PostParams::default();
        let written = match version {
            Some(_) => leases.replace(&eviction_name(&eviction.owner), &by, &lease).await,
            None => leases.create(&by, &lease).await,
        };
        match written {
            Ok(lease) => Ok(Some(lease.metadata.resource_version)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(of_client(&error, "write", LEASES).into()),
        }
    }

    /// Lets other nodes evict pods of an owner, when it has at least so many.
    async fn give_back(&mut self, client: &Client, owner: &str, needed: usize) -> Result<(), String> {
        let Some(held) = self.held.get(owner) else {
            return Ok(());
        };
        let leases: Api<Lease> = Api::default_namespaced(client.clone());
        self.write(&leases, &held.eviction, false, needed, held.version.as_deref())
            .await?;
        self.held.remove(owner);
        Ok(())
    }

    /// Gives back the owners that are whole again, and renews the others.
    pub(super) async fn tend(&mut self, client: &Client) -> Result<(), String> {
        let leases: Api<Lease> = Api::default_namespaced(client.clone());
        let owners: Vec<String> = self.held.keys().cloned().collect();
        for owner in owners {
            let Some(held) = self.held.get(&owner) else {
                continue;
            };
            let pods = of_owner(client, &held.eviction).await?;
            let needed = held.pods;
            let lacks = pods.not_whole(needed, None);
            match after(
                held.asked,
                held.since.elapsed(),
                pods.end(&held.eviction.uid),
                lacks,
            ) {
                After::GiveBack => {
                    let needed = if pods.of_owner.len() < needed { needed } else { 0 };
                    self.give_back(client, &owner, needed).await?;
                    continue;
                }
                After::Stop(why) => {
                    let why = format!(
                        "{why} {} min after an eviction: no node evicts one of its pods before that changes; `kubectl delete lease {}` in the namespace of the agents if it was scaled down",
                        LONGEST.as_secs() / 60,
                        eviction_name(&owner)
                    );
                    let is_rolled_out = pods.others > 0;
                    self.give_back(client, &owner, needed).await?;
                    if !is_rolled_out {
                        self.not_whole.push((owner, why));
                    }
                    continue;
                }
                After::Hold => {}
            }
            if held.renewed.elapsed() < self.pace.renew {
                continue;
            }
            let written = self
                .write(&leases, &held.eviction, true, needed, held.version.as_deref())
                .await?;
            match (written, self.held.get_mut(&owner)) {
                (Some(version), Some(held)) => {
                    held.version = version;
                    held.renewed = Instant::now();
                }
                // Another node took it after it expired.
                _ => drop(self.held.remove(&owner)),
            }
        }
        Ok(())
    }
}

/// What happens with an owner that is held.
#[derive(Debug, PartialEq, Eq)]
enum After {
    Hold,
    GiveBack,
    /// No node evicts one of its pods before it is whole.
    Stop(String),
}

/// The pod that is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PodEnd {
    Runs,
    Ends,
    Gone,
}

/// Decides about an owner. `lacks` says why it is not whole.
fn after(asked: Asked, held: Duration, pod: PodEnd, lacks: Option<String>) -> After {
    match (asked, pod, lacks) {
        (Asked::Nothing, ..) | (_, PodEnd::Gone, None) => After::GiveBack,
        (Asked::Unsure, PodEnd::Runs, _) if held >= LOST => After::GiveBack,
        (_, _, lacks) if held >= LONGEST => {
            After::Stop(lacks.unwrap_or_else(|| "the pod has not ended".to_owned()))
        }
        _ => After::Hold,
    }
}

/// The pods of an owner that have not ended, on all nodes.
struct OwnerPods {
    of_owner: Vec<Pod>,
    /// The number of the pods of other ReplicaSets of its Deployment.
    others: usize,
}

impl OwnerPods {
    fn of(owner: &str, all: Vec<Pod>) -> Self {
        let all = all.into_iter().filter(|pod| !is_finished(pod));
        let is_of = |pod: &Pod| controller(&pod.metadata).is_some_and(|one| one.uid == owner);
        let (of_owner, others): (Vec<Pod>, Vec<Pod>) = all.partition(is_of);
        let family = of_owner.first().and_then(deployment);
        let is_of_family = |pod: &&Pod| family.is_some() && deployment(pod) == family;
        let others = others.iter().filter(is_of_family).count();
        OwnerPods { of_owner, others }
    }

    fn find(&self, uid: &str) -> Option<&Pod> {
        self.of_owner
            .iter()
            .find(|pod| pod.metadata.uid.as_deref() == Some(uid))
    }

    fn has(&self, uid: &str) -> bool {
        self.find(uid).is_some()
    }

    fn end(&self, uid: &str) -> PodEnd {
        match self.find(uid) {
            None => PodEnd::Gone,
            Some(pod) if pod.metadata.deletion_timestamp.is_some() => PodEnd::Ends,
            Some(_) => PodEnd::Runs,
        }
    }

    /// Why the owner is not whole, as text; `None` if it is. `except` need not be ready.
    fn not_whole(&self, needed: usize, except: Option<&str>) -> Option<String> {
        let count = self.of_owner.len();
        if count < needed {
            return Some(format!("its owner has {count} pods of {needed}"));
        }
        let except = except.and_then(|uid| self.find(uid));
        let others = self.of_owner.iter().filter(|pod| except != Some(*pod));
        let missing = others.filter(|pod| !is_ready(pod)).count();
        if missing > 0 {
            return Some(format!(
                "pods of its owner that are not ready: {missing} of {count}"
            ));
        }
        (self.others > 0).then(|| "its Deployment is being rolled out".to_owned())
    }
}

/// The name of the Deployment that made a pod's ReplicaSet.
fn deployment(pod: &Pod) -> Option<String> {
    let owner = controller(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet")?;
    let hash = pod.metadata.labels.as_ref()?.get("pod-template-hash")?;
    let name = owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    Some(name.to_owned())
}

async fn of_owner(client: &Client, eviction: &Eviction) -> Result<OwnerPods, String> {
    let what = format!("pods in the namespace {}", eviction.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &eviction.namespace);
    let list = pods.list(&ListParams::default()).await;
    let list = list.map_err(|error| of_client(&error, "list", &what))?;
    complete(&list.metadata, &what)?;
    Ok(OwnerPods::of(&eviction.owner, list.items))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, owner: &str, is_ready: bool) -> Pod {
        let status = if is_ready { "True" } else { "False" };
        let (_, hash) = owner.split_once('-').unwrap();
        serde_json::from_value(json!({
            "metadata": {
                "namespace": "a", "name": name, "uid": name, "labels": { "pod-template-hash": hash },
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true,
                }],
            },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": status }] },
        }))
        .unwrap()
    }

    #[test]
    fn an_owner_with_fewer_pods_than_before_is_not_whole_though_all_are_ready() {
        let two = || vec![pod("1", "web-x", true), pod("2", "web-x", true)];
        let why = |pods: Vec<Pod>, needed| OwnerPods::of("web-x", pods).not_whole(needed, Some("1"));
        assert_eq!(why(two(), 2), None);
        assert_eq!(why(two(), 3).unwrap(), "its owner has 2 pods of 3");
        let mut pods = two();
        pods.push(pod("3", "web-x", false));
        assert_eq!(
            why(pods, 3).unwrap(),
            "pods of its owner that are not ready: 1 of 3"
        );
        // Another ReplicaSet of the Deployment has pods; that of another Deployment does not matter.
        let mut pods = two();
        pods.push(pod("3", "db-y", false));
        assert_eq!(why(pods.clone(), 2), None);
        pods.push(pod("4", "web-y", true));
        assert_eq!(why(pods, 2).unwrap(), "its Deployment is being rolled out");
    }

    #[test]
    fn an_owner_that_does_not_come_back_is_stopped_and_not_given_back() {
        let lacks = || Some("its owner has 2 pods of 3".to_owned());
        let short = Duration::from_secs(1);
        for (asked, held, pod, lacks, wanted) in [
            (Asked::Evicted, short, PodEnd::Ends, None, After::Hold),
            (Asked::Evicted, short, PodEnd::Gone, lacks(), After::Hold),
            (Asked::Evicted, short, PodEnd::Gone, None, After::GiveBack),
            (
                Asked::Evicted,
                LONGEST,
                PodEnd::Gone,
                lacks(),
                After::Stop(lacks().unwrap()),
            ),
            (
                Asked::Evicted,
                LONGEST,
                PodEnd::Ends,
                None,
                After::Stop("the pod has not ended".to_owned()),
            ),
            (Asked::Unsure, short, PodEnd::Runs, None, After::Hold),
            (Asked::Unsure, LOST, PodEnd::Runs, None, After::GiveBack),
            (Asked::Unsure, LOST, PodEnd::Gone, lacks(), After::Hold),
            (Asked::Nothing, short, PodEnd::Runs, None, After::GiveBack),
        ] {
            assert_eq!(after(asked, held, pod, lacks), wanted);
        }
    }

    #[test]
    fn the_number_of_pods_outlives_the_node_on_the_lease() {
        let of = |pods| of_eviction(&Eviction::default(), None, pods, None, LOST);
        assert_eq!(needed_pods(&of(5)), 5);
        assert_eq!(needed_pods(&of(0)), 0);
        let mut other = of(5);
        let annotations = other.metadata.annotations.as_mut().unwrap();
        annotations.insert("netkeel.io/pods".to_owned(), "x".to_owned());
        assert_eq!(needed_pods(&other), usize::MAX, "nobody evicts");
    }
}
