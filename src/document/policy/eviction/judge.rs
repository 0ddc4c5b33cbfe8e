//! The decision which pods a node evicts, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::eviction::{Owner, PodSeen, Skip, StalePod};
use netkeel_core::cluster_policies::evictions::EvictionRecord;

/// So many owners whose new pods are stale show that new pods on the node are not right, whatever its files say.
const OWNERS_THAT_STOP: usize = 2;

/// What a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The stale pods.
    pub stale: &'a [StalePod],
    /// The pods of the node, by UID.
    pub pods: &'a BTreeMap<String, PodSeen>,
    /// The evictions on record.
    pub record: &'a EvictionRecord,
    /// Why pods wait, by UID: the server refused them for now, or their owner is not whole.
    pub waits: &'a BTreeMap<String, String>,
    /// Why no pod of the node is evicted now.
    pub pause: Option<&'a str>,
}

/// What happens with a stale pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is evicted now.
    Evict,
    /// It will be evicted, and waits, for this reason.
    Wait(String),
    /// It would be evicted, and is not, for this reason.
    OnlyShown(&'static str),
    /// It is not evicted.
    Skip(Skip),
}

/// A stale pod and the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged<'a> {
    /// The stale pod.
    pub stale: &'a StalePod,
    /// The pod; `None` if the server has none.
    pub pod: Option<&'a PodSeen>,
    /// The decision.
    pub verdict: Verdict,
}

/// Judges the stale pods. Those that are evicted or wait come first, in the order of their evictions: one of each owner,
/// then the next of each. At most one is evicted now.
pub fn judge(view: View<'_>) -> Vec<Judged<'_>> {
    let mut going: Vec<(&StalePod, &PodSeen, &Owner)> = Vec::new();
    let mut skipped = Vec::new();
    for stale in view.stale {
        match candidate(view, stale) {
            Ok((pod, owner)) => going.push((stale, pod, owner)),
            Err((pod, skip)) => skipped.push(Judged {
                stale,
                pod,
                verdict: Verdict::Skip(skip),
            }),
        }
    }
    let busy = view
        .pods
        .iter()
        .find(|(uid, pod)| pod.ending && view.record.is_asked(uid));
    let busy = busy.map(|(_, pod)| format!("the node still ends {}", pod.shown()));
    let pause = busy.or_else(|| view.pause.map(str::to_owned));
    going.sort_by_key(|(stale, pod, _)| (pod.shown_owner(), pod.shown(), stale.link.clone()));
    let mut ranks: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ranked = Vec::new();
    for (stale, pod, owner) in going {
        let rank = ranks.entry(&owner.uid).or_default();
        ranked.push((*rank, stale, pod));
        *rank += 1;
    }
    ranked.sort_by_key(|(rank, ..)| *rank);
    let mut is_taken = false;
    let mut judged: Vec<Judged<'_>> = Vec::new();
    for (_, stale, pod) in ranked {
        let uid = stale
            .pod
            .as_ref()
            .map(|(_, uid)| uid.as_str())
            .unwrap_or_default();
        let verdict = match (stale.only_shown, &pause, view.waits.get(uid)) {
            (Some(why), ..) => Verdict::OnlyShown(why),
            (None, Some(why), _) => Verdict::Wait(why.clone()),
            (None, None, Some(why)) => Verdict::Wait(why.clone()),
            (None, None, None) if is_taken => Verdict::Wait("the node evicts one pod at a time".to_owned()),
            (None, None, None) => {
                is_taken = true;
                Verdict::Evict
            }
        };
        judged.push(Judged {
            stale,
            pod: Some(pod),
            verdict,
        });
    }
    judged.extend(skipped);
    judged
}

/// The pod and its owner, if it may be evicted.
#[allow(clippy::type_complexity, reason = "one of two answers of one caller")]
fn candidate<'a>(
    view: View<'a>,
    stale: &StalePod,
) -> Result<(&'a PodSeen, &'a Owner), (Option<&'a PodSeen>, Skip)> {
    let Some((_, uid)) = &stale.pod else {
        return Err((None, Skip::Unidentified));
    };
    let Some(pod) = view.pods.get(uid) else {
        return Err((None, Skip::Gone));
    };
    let refuse = |skip| Err((Some(pod), skip));
    let of_node = pod.owner.as_ref().is_some_and(|owner| owner.kind == "Node");
    if pod.is_static || of_node {
        return refuse(Skip::Static);
    }
    if pod.host_network {
        return refuse(Skip::HostNetwork);
    }
    if pod.ending {
        return refuse(Skip::Ending);
    }
    if pod.finished {
        return refuse(Skip::Finished);
    }
    let Some(owner) = &pod.owner else {
        return refuse(Skip::NoController);
    };
    if owner.kind == "DaemonSet" {
        return refuse(Skip::DaemonSet);
    }
    if let Some(skip) = stale.rules.refuse(&pod.namespace, &pod.name) {
        return refuse(skip);
    }
    let makes_anew = matches!(
        &*owner.kind,
        "ReplicaSet" | "StatefulSet" | "ReplicationController"
    );
    if !makes_anew && !stale.rules.names(&pod.namespace, &pod.name) {
        return refuse(Skip::OtherController(owner.kind.clone()));
    }
    // A policy that is another one since, by its UID, does not stop this one.
    let is_of = |policy: &str| view.stale.iter().any(|one| one.policy_uid == policy);
    let owners = view.record.owners.iter().filter(|(_, one)| is_of(&one.policy));
    let stopped: BTreeMap<&String, &String> = owners
        .filter_map(|(uid, one)| Some((uid, one.stopped.as_ref()?)))
        .collect();
    if let Some(by) = stopped.get(&owner.uid) {
        return refuse(Skip::OwnerStopped((*by).clone()));
    }
    let owners = stopped.len();
    if owners >= OWNERS_THAT_STOP {
        return refuse(Skip::NodeStopped(owners));
    }
    if let Some(why) = &stale.new_pod_fault {
        return refuse(Skip::NewPod(why.clone()));
    }
    Ok((pod, owner))
}

/// The UIDs of an owner's pods on the node.
pub fn pods_of<'a>(owner: &str, pods: &'a BTreeMap<String, PodSeen>) -> BTreeSet<String> {
    let is_of = |pod: &&'a PodSeen| pod.owner.as_ref().is_some_and(|one| one.uid == owner);
    let found = pods.iter().filter(|(_, pod)| is_of(pod));
    found.map(|(uid, _)| uid.clone()).collect()
}

/// Stops the evictions of owners whose pods came after an eviction and are stale too. Returns the owners and pods that are
/// news.
pub fn stop_owners(
    record: &mut EvictionRecord,
    stale: &[StalePod],
    pods: &BTreeMap<String, PodSeen>,
) -> Vec<(String, String)> {
    let mut news = Vec::new();
    for one in stale.iter().filter(|one| one.only_shown.is_none()) {
        let Some((_, uid)) = &one.pod else { continue };
        let Some(pod) = pods.get(uid) else { continue };
        let owner = pod
            .owner
            .as_ref()
            .and_then(|owner| record.owners.get_mut(&owner.uid));
        let Some(of_owner) = owner else { continue };
        let is_new = !of_owner.known.contains(uid) && !of_owner.asked.contains(uid);
        if is_new && !of_owner.asked.is_empty() && of_owner.stopped.is_none() {
            of_owner.stopped = Some(pod.shown());
            news.push((of_owner.owner.clone(), pod.shown()));
        }
    }
    news
}

#[cfg(test)]
mod tests;
