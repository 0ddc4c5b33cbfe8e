//! The controllers of which this node evicts a pod: no other node does so meanwhile, and all their pods are ready.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use tokio::time::Instant;

use crate::evictions::pod::{controller, is_finished, is_ready};
use crate::lease::{eviction_name, expires, of_eviction};
use crate::slots::{LEASES, Pace, complete};
use crate::trouble::of_client;
use netkeel_document::policy::eviction::news::Eviction;

/// An owner that does not come back is given back after so long.
const LONGEST: Duration = Duration::from_secs(600);

/// The controllers of this node's evictions.
pub(super) struct Owners {
    node: String,
    pace: Pace,
    held: BTreeMap<String, HeldOwner>,
    /// The versions of Leases of other nodes, and since when they are the same.
    seen: BTreeMap<String, (String, Instant)>,
}

struct HeldOwner {
    eviction: Eviction,
    version: Option<String>,
    /// The number of its pods before the eviction.
    pods: usize,
    since: Instant,
    renewed: Instant,
}

impl Owners {
    pub(super) fn new(node: String, pace: Pace) -> Self {
        Owners {
            node,
            pace,
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes the owner of a pod. Returns why not, if another node has it, or another of its pods is not ready.
    pub(super) async fn take(
        &mut self,
        client: &Client,
        eviction: &Eviction,
    ) -> Result<Option<String>, String> {
        if self.held.contains_key(&eviction.owner) {
            return Ok(Some(
                "the last eviction of a pod of its owner is not done".to_owned(),
            ));
        }
        let leases: Api<Lease> = Api::default_namespaced(client.clone());
        let name = eviction_name(&eviction.owner);
        let found = leases.get_opt(&name).await;
        let found = found.map_err(|error| of_client(&error, "get", LEASES))?;
        if let Some(lease) = &found
            && let Some(why) = self.other_holder(&name, lease)
        {
            return Ok(Some(why));
        }
        let version = found.and_then(|lease| lease.metadata.resource_version);
        let Some(version) = self.write(&leases, eviction, true, version.as_deref()).await? else {
            return Ok(Some("another node was faster".to_owned()));
        };
        let now = Instant::now();
        let held = HeldOwner {
            eviction: eviction.clone(),
            version,
            pods: 0,
            since: now,
            renewed: now,
        };
        self.held.insert(eviction.owner.clone(), held);
        // While no other node evicts one of them.
        let pods = of_owner(client, eviction).await;
        let why = pods.map(|pods| {
            if let Some(held) = self.held.get_mut(&eviction.owner) {
                held.pods = pods.len();
            }
            not_ready(&pods, Some(&eviction.uid))
        });
        if !matches!(why, Ok(None)) {
            self.give_back(client, &eviction.owner).await?;
        }
        why
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
        version: Option<&str>,
    ) -> Result<Option<Option<String>>, String> {
        let holder = holds.then_some(&*self.node);
        let lease = of_eviction(eviction, holder, version, self.pace.expires);
        let by = PostParams::default();
        let written = match version {
            Some(_) => leases.replace(&eviction_name(&eviction.owner), &by, &lease).await,
            None => leases.create(&by, &lease).await,
        };
        match written {
            Ok(lease) => Ok(Some(lease.metadata.resource_version)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(of_client(&error, "write", LEASES)),
        }
    }

    /// Lets other nodes evict pods of an owner.
    pub(super) async fn give_back(&mut self, client: &Client, owner: &str) -> Result<(), String> {
        let Some(held) = self.held.get(owner) else {
            return Ok(());
        };
        let leases: Api<Lease> = Api::default_namespaced(client.clone());
        self.write(&leases, &held.eviction, false, held.version.as_deref())
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
            let is_gone = !pods.iter().any(|pod| is(pod, &held.eviction.uid));
            let is_whole = is_gone && pods.len() >= held.pods && not_ready(&pods, None).is_none();
            if is_whole || held.since.elapsed() >= LONGEST {
                self.give_back(client, &owner).await?;
                continue;
            }
            if held.renewed.elapsed() < self.pace.renew {
                continue;
            }
            let written = self
                .write(&leases, &held.eviction, true, held.version.as_deref())
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

/// The pods of the owner that have not ended, on all nodes.
async fn of_owner(client: &Client, eviction: &Eviction) -> Result<Vec<Pod>, String> {
    let what = format!("pods in the namespace {}", eviction.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &eviction.namespace);
    let list = pods.list(&ListParams::default()).await;
    let list = list.map_err(|error| of_client(&error, "list", &what))?;
    complete(&list.metadata, &what)?;
    let is_of = |pod: &Pod| controller(&pod.metadata).is_some_and(|owner| owner.uid == eviction.owner);
    let found = list.items.into_iter();
    Ok(found.filter(|pod| is_of(pod) && !is_finished(pod)).collect())
}

fn is(pod: &Pod, uid: &str) -> bool {
    pod.metadata.uid.as_deref() == Some(uid)
}

/// How many pods are not ready, as text; `None` if all are. `except` need not be.
fn not_ready(pods: &[Pod], except: Option<&str>) -> Option<String> {
    let others = pods.iter().filter(|pod| !except.is_some_and(|uid| is(pod, uid)));
    let missing = others.filter(|pod| !is_ready(pod)).count();
    (missing > 0).then(|| {
        format!(
            "pods of its owner that are not ready: {missing} of {}",
            pods.len()
        )
    })
}
