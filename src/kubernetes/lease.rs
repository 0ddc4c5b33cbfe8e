//! Leases: one for each agent that lives, one for each slot of a policy, and one for each controller whose pods are
//! evicted. Their labels tell them apart.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;

use netkeel_document::policy::eviction::news::Eviction;
use netkeel_document::policy::slots::{Holder, Phase, Slot};
use netkeel_document::policy::wish::Wish;

/// The label that says what a Lease is for: `agent`, `slot` or `eviction`.
pub(crate) const FOR: &str = "netkeel.io/lease";

/// The label of a slot with the UID of its policy.
const POLICY_UID: &str = "netkeel.io/policy-uid";

/// The label of an eviction with the UID of the pods' controller.
const OWNER_UID: &str = "netkeel.io/owner-uid";

/// The annotation of an eviction with the number of the controller's pods before it.
const PODS: &str = "netkeel.io/pods";

/// Annotations of a slot.
const POLICY: &str = "netkeel.io/policy";
const INDEX: &str = "netkeel.io/slot";
const NODE_UID: &str = "netkeel.io/node-uid";
const PHASE: &str = "netkeel.io/phase";
const DOCUMENT: &str = "netkeel.io/document";
const GENERATION: &str = "netkeel.io/generation";
const WHY: &str = "netkeel.io/reason";

/// A slot as the server has it.
#[derive(Clone, Debug)]
pub(crate) struct SlotLease {
    /// The name of the Lease.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The UID of the policy.
    pub(crate) policy: String,
    /// The slot.
    pub(crate) slot: Slot,
    /// Why the change of its holder failed.
    pub(crate) why: Option<String>,
}

/// Reads the slot of a Lease; `None` for any other Lease.
pub(crate) fn slot(lease: &Lease, longest: Duration) -> Option<SlotLease> {
    let metadata = &lease.metadata;
    let annotation = |key: &str| metadata.annotations.as_ref()?.get(key).cloned();
    let policy = metadata.labels.as_ref()?.get(POLICY_UID)?.clone();
    let spec = lease.spec.clone().unwrap_or_default();
    let node = spec.holder_identity.filter(|holder| !holder.is_empty());
    let holder = node.map(|node| Holder {
        node,
        uid: annotation(NODE_UID).unwrap_or_default(),
        phase: match annotation(PHASE).as_deref() {
            Some("Taken") => Phase::Taken,
            Some("Failed") => Phase::Failed,
            // Of one that cannot be read nobody knows whether it began.
            _ => Phase::Begun,
        },
        document: annotation(DOCUMENT).unwrap_or_default(),
        generation: annotation(GENERATION).and_then(|number| number.parse().ok()),
    });
    Some(SlotLease {
        name: metadata.name.clone()?,
        version: metadata.resource_version.clone()?,
        policy,
        slot: Slot {
            index: annotation(INDEX)?.parse().ok()?,
            holder,
            expires: expires(&lease.spec, longest),
        },
        why: annotation(WHY),
    })
}

/// How long a Lease may go without a write: what it says, and at most so long.
pub(crate) fn expires(spec: &Option<LeaseSpec>, longest: Duration) -> Duration {
    let seconds = spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(longest, |seconds| {
        Duration::from_secs(seconds.max(1)).min(longest)
    })
}

/// The Lease of the slot `index` of a policy, with or without a holder. `version` is that of the one that it replaces.
pub(crate) fn of_slot(
    uid: &str,
    index: u32,
    wish: &Wish,
    holder: Option<&Holder>,
    version: Option<&str>,
    expires: Duration,
) -> Lease {
    let mut annotations = BTreeMap::from([
        (POLICY.to_owned(), wish.policy.clone()),
        (INDEX.to_owned(), index.to_string()),
    ]);
    if let Some(holder) = holder {
        let phase = match holder.phase {
            Phase::Taken => "Taken",
            Phase::Begun => "Begun",
            Phase::Failed => "Failed",
        };
        annotations.extend([
            (NODE_UID.to_owned(), holder.uid.clone()),
            (PHASE.to_owned(), phase.to_owned()),
            (DOCUMENT.to_owned(), holder.document.clone()),
        ]);
        annotations.extend(
            holder
                .generation
                .map(|number| (GENERATION.to_owned(), number.to_string())),
        );
        if let (Phase::Failed, Some(why)) = (holder.phase, &wish.why) {
            annotations.insert(WHY.to_owned(), why.clone());
        }
    }
    let labels = BTreeMap::from([
        (FOR.to_owned(), "slot".to_owned()),
        (POLICY_UID.to_owned(), uid.to_owned()),
    ]);
    let owner = OwnerReference {
        api_version: format!("{}/{}", crate::policies::GROUP, crate::policies::VERSION),
        kind: "NetkeelPolicy".to_owned(),
        name: wish.policy.clone(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    };
    Lease {
        metadata: ObjectMeta {
            name: Some(slot_name(uid, index)),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![owner]),
            resource_version: version.map(str::to_owned),
            ..ObjectMeta::default()
        },
        spec: Some(spec(holder.map(|holder| holder.node.as_str()), expires)),
    }
}

/// The Lease without its holder, as it is otherwise.
pub(crate) fn given_back(mut lease: Lease) -> Lease {
    if let Some(annotations) = &mut lease.metadata.annotations {
        for key in [NODE_UID, PHASE, DOCUMENT, GENERATION, WHY] {
            annotations.remove(key);
        }
    }
    lease.metadata.managed_fields = None;
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = None;
    spec.renew_time = Some(MicroTime(Timestamp::now()));
    lease
}

/// The name of a slot's Lease.
fn slot_name(uid: &str, index: u32) -> String {
    format!("netkeel-{uid}-{index}")
}

/// The Lease by which others see that the agent of a node lives. It has the name of the node.
pub(crate) fn of_agent(node: &str, node_uid: &str, version: Option<&str>, expires: Duration) -> Lease {
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.to_owned(),
        uid: node_uid.to_owned(),
        ..OwnerReference::default()
    };
    Lease {
        metadata: ObjectMeta {
            name: Some(node.to_owned()),
            labels: Some(BTreeMap::from([(FOR.to_owned(), "agent".to_owned())])),
            owner_references: Some(vec![owner]),
            resource_version: version.map(str::to_owned),
            ..ObjectMeta::default()
        },
        spec: Some(spec(Some(node), expires)),
    }
}

/// The name of the Lease of a controller whose pods are evicted.
pub(crate) fn eviction_name(owner: &str) -> String {
    format!("netkeel-evict-{owner}")
}

/// The number of pods that a controller must have before another one of them is evicted. One that cannot be read is never
/// reached.
pub(crate) fn needed_pods(lease: &Lease) -> usize {
    let annotations = lease.metadata.annotations.as_ref();
    let number = annotations.and_then(|annotations| annotations.get(PODS));
    number.map_or(0, |number| number.parse().unwrap_or(usize::MAX))
}

/// The Lease by which one node at a time evicts pods of a controller. It goes with the policy. The controller must come back
/// to so many `pods`.
pub(crate) fn of_eviction(
    eviction: &Eviction,
    holder: Option<&str>,
    pods: usize,
    version: Option<&str>,
    expires: Duration,
) -> Lease {
    let owner = OwnerReference {
        api_version: format!("{}/{}", crate::policies::GROUP, crate::policies::VERSION),
        kind: "NetkeelPolicy".to_owned(),
        name: eviction.policy.clone(),
        uid: eviction.policy_uid.clone(),
        ..OwnerReference::default()
    };
    let labels = BTreeMap::from([
        (FOR.to_owned(), "eviction".to_owned()),
        (OWNER_UID.to_owned(), eviction.owner.clone()),
    ]);
    Lease {
        metadata: ObjectMeta {
            name: Some(eviction_name(&eviction.owner)),
            labels: Some(labels),
            annotations: (pods > 0).then(|| BTreeMap::from([(PODS.to_owned(), pods.to_string())])),
            owner_references: Some(vec![owner]),
            resource_version: version.map(str::to_owned),
            ..ObjectMeta::default()
        },
        spec: Some(spec(holder, expires)),
    }
}

fn spec(holder: Option<&str>, expires: Duration) -> LeaseSpec {
    LeaseSpec {
        holder_identity: holder.map(str::to_owned),
        lease_duration_seconds: i32::try_from(expires.as_secs().max(1)).ok(),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_document::policy::rollout::MaxUnavailable;

    #[test]
    fn a_slot_is_read_as_it_is_written() {
        let wish = Wish {
            policy: "pods".to_owned(),
            document: "d1".to_owned(),
            generation: 4,
            max: MaxUnavailable::Nodes(2),
            selector: Default::default(),
            phase: Phase::Failed,
            why: Some("no".to_owned()),
        };
        let longest = Duration::from_secs(90);
        for phase in [Phase::Taken, Phase::Begun, Phase::Failed] {
            let holder = Holder {
                node: "n1".to_owned(),
                uid: "u1".to_owned(),
                phase,
                document: "d1".to_owned(),
                generation: Some(4),
            };
            let lease = of_slot("p1", 3, &wish, Some(&holder), Some("7"), Duration::from_secs(30));
            let read = slot(&lease, longest).unwrap();
            assert_eq!(
                (&*read.policy, &*read.version, &*read.name),
                ("p1", "7", "netkeel-p1-3")
            );
            let expected = Slot {
                index: 3,
                holder: Some(holder),
                expires: Duration::from_secs(30),
            };
            assert_eq!(read.slot, expected);
            let free = slot(&given_back(lease.clone()), longest).unwrap();
            assert_eq!((free.slot.holder, free.slot.index), (None, 3));
            // A phase that a newer agent wrote may be one in which something was changed.
            let mut newer = lease;
            newer
                .metadata
                .annotations
                .as_mut()
                .unwrap()
                .insert(PHASE.to_owned(), "New".to_owned());
            assert_eq!(
                slot(&newer, longest).unwrap().slot.holder.unwrap().phase,
                Phase::Begun
            );
        }
        assert!(slot(&of_agent("n1", "u1", None, longest), longest).is_none());
        // Nobody holds a slot for ever by a long duration.
        let long = of_slot("p1", 0, &wish, None, Some("7"), Duration::from_secs(999_999));
        assert_eq!(slot(&long, longest).unwrap().slot.expires, longest);
    }
}
