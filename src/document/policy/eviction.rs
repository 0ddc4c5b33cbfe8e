//! Pods whose MTU cannot be corrected while they run: which of them a node evicts, in which order, and why not the others.

pub mod judge;
pub mod news;
mod pattern;

use std::fmt;

use crate::policy::eviction::pattern::PodPattern;
use netkeel_source::node::Node;

pub(crate) use crate::policy::eviction::pattern::check;

/// The namespace whose pods are evicted only if a pattern names it.
const KUBE_SYSTEM: &str = "kube-system";

/// What a policy says of the pods that may be evicted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvictionRules {
    include: Vec<PodPattern>,
    exclude: Vec<PodPattern>,
}

impl EvictionRules {
    /// Reads the rules of a `rollout` whose shape was checked; `None` without `evict: true`.
    pub(crate) fn read(rollout: Option<&Node>) -> Option<Self> {
        let rollout = rollout?;
        if rollout.get("evict").and_then(Node::switch) != Some(true) {
            return None;
        }
        let patterns = |key: &str| {
            let items = rollout.get(key).map(Node::items).unwrap_or_default();
            let texts = items.iter().filter_map(Node::text);
            texts.filter_map(PodPattern::read).collect()
        };
        Some(EvictionRules {
            include: patterns("include"),
            exclude: patterns("exclude"),
        })
    }

    /// Excludes the pods, too, that other rules exclude.
    pub fn exclude_more(&mut self, others: &EvictionRules) {
        self.exclude.extend(others.exclude.iter().cloned());
    }

    /// Whether a pattern includes a pod.
    fn names(&self, namespace: &str, name: &str) -> bool {
        self.include.iter().any(|one| one.matches(namespace, name))
    }

    /// Why a pod is not among those that may be evicted.
    fn refuse(&self, namespace: &str, name: &str) -> Option<Skip> {
        let excludes = self.exclude.iter().find(|one| one.matches(namespace, name));
        if let Some(pattern) = excludes {
            return Some(Skip::Excluded(pattern.to_string()));
        }
        if !self.include.is_empty() && !self.names(namespace, name) {
            return Some(Skip::NotIncluded);
        }
        let named = self
            .include
            .iter()
            .any(|one| one.names(KUBE_SYSTEM) && one.matches(namespace, name));
        (namespace == KUBE_SYSTEM && !named).then_some(Skip::KubeSystem)
    }
}

/// The controller of a pod, which makes it anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// A pod of this node, as the API server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSeen {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its controller; `None` for a pod that nobody makes anew.
    pub owner: Option<Owner>,
    /// It has the network of the node.
    pub host_network: bool,
    /// The kubelet runs it from a file, and the server has only its mirror.
    pub is_static: bool,
    /// All its containers ended for good.
    pub finished: bool,
    /// It is being deleted.
    pub ending: bool,
}

impl PodSeen {
    /// `NAMESPACE/NAME`.
    pub fn shown(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// `NAMESPACE/KIND/NAME` of its controller.
    pub fn shown_owner(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{}/{}/{}", self.namespace, owner.kind, owner.name),
            None => String::new(),
        }
    }
}

/// A veth into a pod whose MTU netkeel cannot correct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StalePod {
    /// The host's end.
    pub link: String,
    /// `NAMESPACE/NAME` of the pod as the CNI recorded it, and its UID; `None` if it did not.
    pub pod: Option<(String, String)>,
    /// The name of the policy.
    pub policy: String,
    /// Its UID.
    pub policy_uid: String,
    /// Its generation.
    pub generation: i64,
    /// Its rules.
    pub rules: EvictionRules,
    /// Why nothing is evicted for now, and it is only shown: the policy only observes, or the agent does.
    pub only_shown: Option<&'static str>,
    /// Why a new pod on this node would not have the wanted MTU, or why nobody knows.
    pub new_pod_fault: Option<String>,
}

/// Why a pod is not evicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The CNI did not record to which pod the veth leads.
    Unidentified,
    /// The server has no such pod on this node.
    Gone,
    /// It is being deleted already.
    Ending,
    /// All its containers ended.
    Finished,
    /// The kubelet runs it from a file: it cannot be evicted.
    Static,
    /// It has the node's network.
    HostNetwork,
    /// Its DaemonSet would make it anew on this node, whatever the other nodes do.
    DaemonSet,
    /// Nobody would make it anew.
    NoController,
    /// Its controller is of this kind, and may not make it anew.
    OtherController(String),
    /// It is in kube-system, which no pattern names.
    KubeSystem,
    /// A pattern excludes it.
    Excluded(String),
    /// There are patterns, and none includes it.
    NotIncluded,
    /// A new pod on this node would be stale as well, or nobody knows.
    NewPod(String),
    /// A new pod of its owner was stale as well: this one.
    OwnerStopped(String),
    /// New pods of so many owners were stale as well.
    NodeStopped(usize),
}

impl Skip {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Skip::Unidentified => "unidentified",
            Skip::Gone => "gone",
            Skip::Ending => "ending",
            Skip::Finished => "finished",
            Skip::Static => "static",
            Skip::HostNetwork => "host-network",
            Skip::DaemonSet => "daemon-set",
            Skip::NoController | Skip::OtherController(_) => "no-controller",
            Skip::KubeSystem => "kube-system",
            Skip::Excluded(_) => "excluded",
            Skip::NotIncluded => "not-included",
            Skip::NewPod(_) => "new-pod",
            Skip::OwnerStopped(_) => "owner-stopped",
            Skip::NodeStopped(_) => "node-stopped",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Skip::Unidentified => "the CNI recorded no pod and UID for the veth",
            Skip::Gone => "the API server has no pod with this UID on the node",
            Skip::Ending => "it is being deleted",
            Skip::Finished => "its containers have ended",
            Skip::Static => "it is a static pod: delete its manifest on the node, or restart it there",
            Skip::HostNetwork => "it has the network of the node",
            Skip::DaemonSet => "it is of a DaemonSet: restart the DaemonSet",
            Skip::NoController => "no controller would create it again",
            Skip::OtherController(kind) => {
                return write!(
                    f,
                    "its controller is of the kind {kind}, which may not create it again: `include` can name it"
                );
            }
            Skip::KubeSystem => "it is in kube-system, which `include` does not name",
            Skip::Excluded(pattern) => return write!(f, "`exclude` has {pattern}"),
            Skip::NotIncluded => "`include` does not have it",
            Skip::NewPod(why) => return write!(f, "a new pod would not be right: {why}"),
            Skip::OwnerStopped(pod) => {
                return write!(
                    f,
                    "its owner's new pod {pod} is stale too: edit the policy to try again"
                );
            }
            Skip::NodeStopped(owners) => {
                return write!(
                    f,
                    "new pods of {owners} owners are stale too: edit the policy to try again"
                );
            }
        })
    }
}
